"""Label a dataset by the parent: for distillation, and for the agreement with the parent."""

import logging

from _common import Job, run
from irrepress.study.cards import Card
from irrepress.study.steps import teach

logger = logging.getLogger("teach")


def main(job: Job) -> None:
    parent = job.load(job.inputs.model)
    store = job.open_store(job.inputs.store, parent)
    card = Card.load(job.inputs.card)
    # A parent that is as its checkpoint has the same labels.
    labeller = job.labeller_by(parent, card.sha256 if card.stages else card.parent_sha256)
    parts = job.params.parts
    wanted = sum(len(store.splits[part]) for part in parts)
    logger.info("%s: %d structures (%s), to be labelled", store.path, wanted, ", ".join(parts))
    done = teach(
        labeller,
        store,
        job.outputs.store,
        parts=parts,
        seed=job.params.seed,
    )
    logger.info("%s: %d structures are labelled", store.path, done)


run(main, snakemake)
