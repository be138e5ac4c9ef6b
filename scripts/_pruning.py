"""What the scripts that score and plan share."""

from typing import Any

from _common import Job
from irrepress.pruning.calibration import Calibration
from irrepress.pruning.config import Scoring, Sweep
from irrepress.pruning.latency import TimeTable
from irrepress.pruning.layers import choose_layers
from irrepress.pruning.scores import Scores
from irrepress.study.parameters import SHARED
from irrepress.study.planning import Planning
from irrepress.study.recipes import Recipe


def read_planning(job: Job, model: Any, **shared: Any) -> Planning:
    """Return what the job's plan is made from.

    Args:
        job: the job.
        model: the unpruned model.
        **shared: what all plans of the sweep share beside what the job's settings hold.
    """
    settings = job.params.settings
    recipe = Recipe.model_validate({k: settings[k] for k in Recipe.model_fields if k in settings})
    if recipe.cutoff is not None:
        model.check_cutoff(recipe.cutoff, f"sweep: {job.wildcards.plan}")
    choose_layers(model, recipe.layers, f"sweep: {job.wildcards.plan}")
    return Planning(
        model,
        recipe,
        Sweep(**{name: settings[name] for name in SHARED if name in settings}, **shared),
        Scores.load(job.inputs.scores),
        TimeTable.load(job.inputs.shapes[0]) if job.inputs.shapes else None,
    )


def calibration(job: Job, model: Any, settings: Scoring) -> Calibration:
    """Return the structures that blocks of a model are scored on."""
    return Calibration(job.open_store(job.inputs.store, model), settings, job.params.seed)
