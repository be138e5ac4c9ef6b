"""Prune little by little, and score what is left anew: a plan of which irreps blocks stay."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from _common import Job, run
from _pruning import Planning, calibration
from irrepress.pruning.iterated import plan_iterated
from irrepress.pruning.scoring import compute_scores


def main(job: Job) -> None:
    planning = Planning(job)
    settings = job.config.scoring
    store, chosen = calibration(job, planning.model)

    def score(model: Any) -> Mapping[str, np.ndarray]:
        if model is planning.model:  # scored already
            return planning.scores()
        scores = compute_scores(
            job.family,
            model,
            store.iterate(chosen),
            total=len(chosen),
            batch_size=settings.batch_size,
            weights=settings.weights,
            criteria=[planning.made["criterion"]],
            probes=settings.probes,
            seed=job.config.seed,
            device=job.config.device,
        )
        return planning.scores(scores, scores.groups)

    plan = plan_iterated(
        job.family,
        planning.model,
        score,
        planning.measure,
        budget=planning.made["budget"],
        step=job.config.sweep.step,
        limits=planning.limits,
    )
    planning.save(plan)


run(main, snakemake)
