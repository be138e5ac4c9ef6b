"""Label a dataset by the parent: for distillation, and for the agreement with the parent."""

import logging

from _common import Job, labels_of, run
from irrepress.study.steps import teach

logger = logging.getLogger("teach")


def main(job: Job) -> None:
    parent = job.load(job.inputs.model).to(job.device)
    store = job.open_store(job.inputs.store, parent)
    parts = job.params.parts
    wanted = sum(len(store.splits[part]) for part in parts)
    logger.info("%s: %d structures (%s), to be labelled", store.path, wanted, ", ".join(parts))
    done = teach(
        parent,
        store,
        job.outputs.store,
        parts=parts,
        labels=labels_of(job.reference),
        name=job.inputs.model,
        seed=job.params.seed,
    )
    logger.info("%s: %d structures are labelled", store.path, done)


run(main, snakemake)
