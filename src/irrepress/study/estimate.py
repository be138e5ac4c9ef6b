"""How long a study of a user's own files takes, roughly, from one call of its model."""

import time
from collections.abc import Mapping

from irrepress.catalogue.families import missing_packages
from irrepress.core.model import Model
from irrepress.data.sources.config import Drawn, Relaxed, Sampled, Squeezed
from irrepress.evaluation.timing import reference_crystal, time_call
from irrepress.study.config import Config
from irrepress.study.measuring import load_parent
from irrepress.study.recipes import Recipe

# Calls of the same size that a step of training takes: its backward passes, and the optimizer.
_CALLS_OF_A_STEP = 4
# Calls that scoring, and a fit of the kept weights, take for a structure.
_CALLS_OF_A_SCORE, _CALLS_OF_A_FIT = 4, 12
# Calls that an evaluation takes beside those of its structures: times, symmetry, forces.
_CALLS_OF_AN_EVALUATION = 60
# Steps that the relaxation of a crystal takes before dynamics.
_STEPS_OF_A_RELAXATION = 25
# Calls of the parent that a shape takes that is timed: its own, the first slow ones, the parent's.
_CALLS_OF_A_SHAPE = 1.5


def estimate(config: Config, counts: Mapping[str, int]) -> str:
    """Return a sentence on how long the jobs of a run take, and what that is based on.

    The model of the config is loaded and called on a crystal once; no job is run.

    Args:
        config: the config, of one model and one plan, as it is written for a user's files.
        counts: rule -> number of jobs that the run has.
    """
    (name, *_) = config.compressed_models()
    reference = config.models[name]
    if reference.checkpoint is None or missing_packages(reference.family):
        return f"How long it takes is not known: {reference.family} lives in another environment."
    began = time.perf_counter()
    model = load_parent(reference, config.device)  # type: ignore[arg-type]  # it has a checkpoint
    start = time.perf_counter() - began
    atoms = config.evaluation.timing_atoms
    call = seconds_of_call(model, atoms)
    share = _share_of_time(config)
    seconds = start * sum(counts.values()) + call * sum(
        calls * counts.get(rule, 0) for rule, calls in _calls(config, share, atoms).items()
    )
    minutes = max(1, round(seconds / 60 + _minutes_of_validation(config, counts)))
    return (
        f"Roughly {minutes} min with one job at a time, within a factor of two or three: reckoned "
        f"from one call of {name} ({call:.2g} s for {atoms} atoms on {model.device.type}) and its "
        f"loading ({start:.2g} s)."
    )


def _minutes_of_validation(config: Config, counts: Mapping[str, int]) -> float:
    """Return the limits of the time that jobs measure models beside their parents."""
    if (limits := config.validation) is None:
        return 0.0
    parents = counts.get("measure_parent", 0) + counts.get("measure_fine_tuned_parent", 0)
    models = counts.get("validate", 0) + counts.get("validate_fine_tuned", 0)
    return limits.parent_minutes * parents + limits.minutes * models


def seconds_of_call(model: Model, atoms: int) -> float:
    """Return the seconds of one call for energy, forces and stress of a crystal."""
    batch = model.batch([reference_crystal(model.elements, atoms)])
    time_call(model, batch, native=False)  # the first one is slow
    return min(time_call(model, batch, native=False) for _ in range(2))


def _share_of_time(config: Config) -> float:
    """Return which share of the parent's time a call of the smaller model takes, at most."""
    plans: Mapping[str, Recipe] = config.plans()
    budgets = [plans[name].budget for name in config.train_plans]
    return max((budget for budget in budgets if budget is not None), default=0.5)


def _calls(config: Config, share: float, atoms: int) -> dict[str, float]:
    """Return rule -> calls of the parent on the timed crystal that one of its jobs is worth."""
    calls = {
        "score": config.scoring.structures * _CALLS_OF_A_SCORE,
        "time_shapes": _CALLS_OF_A_SHAPE
        * config.sweep.timed_shapes
        * max(config.evaluation.timing_repeats, 2),
        "evaluate": _CALLS_OF_AN_EVALUATION,
    }
    if config.compensation:
        calls["compensate"] = config.compensation.structures * _CALLS_OF_A_FIT
    if config.downstream:
        training = config.downstream.training
        size = (training.max_atoms or atoms) / atoms
        calls["fine_tune"] = training.steps * _CALLS_OF_A_STEP * share * size
    if config.distillation:
        training = config.distillation
        size = (training.max_atoms or atoms) / atoms
        calls["distill"] = training.steps * _CALLS_OF_A_STEP * share * size
    made = config.datasets.values()
    if sampled := [each for each in made if isinstance(each, Sampled)]:
        steps = sum(_calls_of_dynamics(each) * each.atoms / atoms for each in sampled)
        calls["sample_dataset"] = steps / len(sampled)
    if drawn := [each for each in made if isinstance(each, Drawn)]:
        labelled = sum(_calls_of_a_drawing(each) * each.atoms / atoms for each in drawn)
        calls["draw_dataset"] = labelled / len(drawn)
    return calls


def _calls_of_dynamics(sampled: Sampled) -> float:
    """Return the calls of a dataset's runs: their steps, the relaxation before, descriptors."""
    relaxation = _STEPS_OF_A_RELAXATION * sampled.relax
    return sampled.runs * (sampled.equilibration + sampled.steps) + relaxation


def _calls_of_a_drawing(drawn: Drawn) -> float:
    """Return the calls that make and label structures: half of the most rounds and steps."""
    before = 0.0
    if isinstance(drawn, Relaxed):
        before = drawn.rounds * drawn.steps / 4
    elif isinstance(drawn, Squeezed):
        before = 1.0
    return drawn.count * (1 + before)
