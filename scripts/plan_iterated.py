"""Prune little by little, and score what is left anew: a plan of which irreps blocks stay."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from _common import Job, run
from _pruning import Planning, calibration, score
from irrepress.pruning.iterated import plan_iterated


def main(job: Job) -> None:
    planning = Planning(job)
    store, chosen = calibration(job, planning.model)

    def competing(model: Any) -> Mapping[str, np.ndarray]:
        if model is planning.model:  # scored already
            return planning.scores()
        return planning.scores(score(job, model, store, chosen, [planning.made["criterion"]]))

    plan = plan_iterated(
        job.family,
        planning.model,
        competing,
        planning.measure,
        budget=planning.made["budget"],
        step=job.config.sweep.step,
        limits=planning.limits,
    )
    planning.save(plan)


run(main, snakemake)
