"""Fit the kept weights of a pruned model to its parent's features."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from _common import Job, run
from irrepress.core.files import write_text
from irrepress.core.plan import Plan
from irrepress.pruning.compensation import compensate
from irrepress.pruning.config import Compensation


def main(job: Job) -> None:
    settings = job.section(Compensation)
    parent, model = (
        job.load(path).to(job.device) for path in (job.inputs.parent, job.inputs.model)
    )
    store = job.open_store(job.inputs.store, parent)
    train = store.require("train")
    rng = np.random.default_rng(job.params.seed)
    chosen = np.sort(rng.permutation(train)[: settings.structures])
    fits = compensate(
        parent,
        model,
        Plan.load(job.inputs.plan),
        store,
        chosen,
        batch_size=settings.batch_size,
        derivative_weight=settings.derivative_weight,
        displacement=settings.displacement,
        seed=job.params.seed,
        work_dir=Path(job.outputs.model).parent,
    )
    write_text(job.outputs.fits, pd.DataFrame(map(asdict, fits)).to_csv(index=False))
    stage = {
        "stage": "compensated",
        "dataset": settings.dataset,
        "structures": len(chosen),
        "settings": settings.model_dump(mode="json", exclude={"dataset", "structures"}),
        "seed": job.params.seed,
    }
    job.save(model.to("cpu"), stage)


run(main, snakemake)
