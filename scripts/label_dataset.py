"""Label the structures of a dataset by a model, and write a store."""

import logging

from _common import Job, labelled_info, run
from irrepress.data.checks import check_elements
from irrepress.data.store import StructureStore
from irrepress.study.steps import label_dataset

logger = logging.getLogger("label")


def main(job: Job) -> None:
    name = f"datasets.{job.wildcards.dataset}"
    store, output = StructureStore(job.inputs.structures), job.outputs.store
    labeller = job.labeller
    check_elements(store.elements, labeller.model.elements, f"{store.path} and {name}.labels")
    info = labelled_info(store.info, job.reference)
    logger.info("%s: %d structures, to be labelled by %s", name, len(store), info.labels)
    seed = job.params.seed
    done = label_dataset(labeller, store, output, info, name=name, seed=seed)
    left_out = f"; {len(store) - done} are in no split" if done < len(store) else ""
    logger.info("%s: %d structures are labelled%s", name, done, left_out)


run(main, snakemake)
