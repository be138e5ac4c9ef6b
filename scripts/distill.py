"""Train a pruned model on what its parent says of a dataset."""

from _common import Job, run
from _training import train_and_save
from irrepress.structures.store import StructureStore


def main(job: Job) -> None:
    settings = job.config.distillation
    train_and_save(
        job,
        job.load(job.inputs.model),
        settings,
        {"stage": "distilled", "label_fraction": settings.label_fraction},
        teacher=StructureStore(job.inputs.teacher),
        label_fraction=settings.label_fraction,
    )


run(main, snakemake)
