"""Train a pruned model on the labels of a dataset."""

from _common import Job, run
from _training import train_and_save
from irrepress.training.ranks import start_by_srun


def main(job: Job) -> None:
    start_by_srun(job.config.recovery)
    model = job.load(job.inputs.model)
    train_and_save(job, model, job.config.recovery, {"stage": "recovered"})


run(main, snakemake)
