"""Write one store of several whose labels come from the same model or level of theory."""

import logging

from _common import Job, run
from irrepress.data.sources.config import Joined
from irrepress.data.sources.join import Joining
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store
from irrepress.study.cards import UNKNOWN_LEVEL

logger = logging.getLogger("join")


def main(job: Job) -> None:
    dataset = job.section(Joined)
    joining = Joining(list(map(StructureStore, job.inputs.stores)), dataset)
    logger.info("datasets.%s: %s", job.wildcards.dataset, joining)
    info, splits = joining.info(), joining.splits
    if info.labels == UNKNOWN_LEVEL:
        logger.warning("levels of theory are not known, and taken to be the same")
    write_store(job.outputs.store, joining, info, splits, dataset.seed, total=len(joining))


run(main, snakemake)
