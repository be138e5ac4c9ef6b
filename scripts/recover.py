"""Train a pruned model on the labels of a dataset."""

from _common import Job, run
from _training import train_and_save


def main(job: Job) -> None:
    model = job.load(job.inputs.model)
    train_and_save(job, model, job.config.recovery, {"stage": "recovered"})


run(main, snakemake)
