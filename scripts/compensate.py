"""Fit the kept weights of a pruned model to its parent's features."""

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from _common import Job, run
from irrepress.core.files import write_text
from irrepress.core.plan import Plan
from irrepress.pruning.config import Compensation
from irrepress.study.steps import compensate_on


def main(job: Job) -> None:
    settings = job.section(Compensation)
    parent, model = (
        job.load(path).to(job.device) for path in (job.inputs.parent, job.inputs.model)
    )
    fits, stage = compensate_on(
        parent,
        model,
        Plan.load(job.inputs.plan),
        job.open_store(job.inputs.store, parent),
        settings,
        seed=job.params.seed,
        work_dir=Path(job.outputs.model).parent,
    )
    write_text(job.outputs.fits, pd.DataFrame(map(asdict, fits)).to_csv(index=False))
    job.save(model.to("cpu"), stage)


run(main, snakemake)
