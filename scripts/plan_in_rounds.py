"""Prune little by little, with the model at hand: a plan of which irreps blocks stay."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from _common import Job, run
from _pruning import Planning, calibration, score
from irrepress.core.plan import Plan
from irrepress.pruning.config import Scoring
from irrepress.pruning.damage import Damage
from irrepress.pruning.iterated import plan_iterated
from irrepress.pruning.measured import plan_measured


def main(job: Job) -> None:
    planning = Planning(job)
    plan = {"iterated": by_new_scores, "measured": by_trials}[planning.recipe.allocation](planning)
    planning.save(plan)


def by_new_scores(planning: Planning) -> Plan:
    """Score what is left before every step."""
    job = planning.job
    settings = Scoring.model_validate(job.params.scoring)
    store, chosen = calibration(job, planning.model, settings)

    def competing(model: Any) -> Mapping[str, np.ndarray]:
        if model is planning.start:  # scored already, a shorter cutoff changes little
            return planning.scores()
        return planning.scores(
            score(job, model, settings, store, chosen, [planning.recipe.criterion])
        )

    return plan_iterated(planning.start, competing, **shared(planning))


def by_trials(planning: Planning) -> Plan:
    """Try what every step could remove."""
    job = planning.job
    settings = Scoring.model_validate(job.params.scoring)
    store, chosen = calibration(job, planning.model, settings)
    damage = Damage(
        planning.model.to(job.device),
        store.iterate(chosen),
        batch_size=settings.batch_size,
        weights=settings.weights,
        start=planning.start.to(job.device),
    )
    return plan_measured(planning.start, planning.scores(), damage, **shared(planning))


def shared(planning: Planning) -> dict[str, Any]:
    """What both ways are given."""
    return {
        "measure": planning.measure,
        "budget": planning.recipe.budget,
        "step": planning.job.params.step,
        "limits": planning.limits,
    }


run(main, snakemake)
