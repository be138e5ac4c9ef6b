"""Refine a compressed model in rounds: dynamics, labels of its parent, training."""

import shutil
from pathlib import Path

from _common import Job, run
from irrepress.core.plan import Plan
from irrepress.study.refinement import refine
from irrepress.training.config import Refinement
from irrepress.training.features import FeatureGuide
from irrepress.training.lock import locked


def main(job: Job) -> None:
    settings = job.section(Refinement)
    model, parent = job.load(job.inputs.model), job.load(job.inputs.parent)
    starts = job.open_store(job.inputs.starts, model)
    base = job.open_store(job.inputs.teacher, model)
    guide = None
    if settings.features > 0:
        guide = FeatureGuide(parent, Plan.load(job.inputs.plan))
    work_dir = Path(job.outputs.model).parent / ".checkpoints"
    with locked(work_dir):
        result = refine(
            model,
            parent,
            base,
            starts,
            settings,
            seed=job.params.seed,
            device=job.params.device,
            work_dir=work_dir,
            metrics_csv=Path(job.outputs.training),
            frames=Path(job.outputs.frames),
            guide=guide,
        )
    origin = {"dataset": settings.dataset, "labels": base.info.labels}
    job.save(result.model, {**result.stage(settings, job.params.seed), **origin})
    shutil.rmtree(work_dir)


run(main, snakemake)
