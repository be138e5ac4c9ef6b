"""Train a pruned model on what its parent says of a dataset."""

from _common import Job, run
from _training import train_and_save
from irrepress.core.plan import Plan
from irrepress.data.store import StructureStore
from irrepress.study.steps import distillation_options
from irrepress.training.config import Distillation
from irrepress.training.features import FeatureGuide
from irrepress.training.ranks import start_by_srun


def main(job: Job) -> None:
    settings = job.section(Distillation)
    start_by_srun(settings)
    parent = guide = None
    if settings.features > 0 or settings.has_targets:
        parent = job.load(job.inputs.parent)
    if settings.features > 0:
        guide = FeatureGuide(parent, Plan.load(job.inputs.plan))
    store, teacher = StructureStore(job.inputs.store), StructureStore(job.inputs.teacher)
    train_and_save(
        job,
        job.load(job.inputs.model),
        settings,
        {"stage": "distilled", "label_fraction": settings.label_fraction},
        **distillation_options(settings, store, teacher, guide, parent),
    )


run(main, snakemake)
