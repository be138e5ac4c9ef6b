"""Train a model from random weights: the parent of a study that loads no checkpoint."""

from _common import Job, run
from _training import train_and_save
from irrepress.study.cards import Card
from irrepress.training.config import Training


def main(job: Job) -> None:
    model = job.load(job.inputs.model)
    stage = {"stage": "trained", "settings_of_architecture": job.reference.untrained}
    train_and_save(job, model, job.section(Training), stage)
    # Compressed models come from the trained weights, not from the random ones.
    card = Card.load(job.outputs.card)
    card.model_copy(update={"parent_sha256": card.sha256}).save(job.outputs.card)


run(main, snakemake)
