"""The study in sentences: from the parent to the final model, with its numbers."""

from dataclasses import dataclass, field

import pandas as pd

from irrepress.evaluation.records import MeasuredCost
from irrepress.report import tables
from irrepress.report.story_steps import (
    Step,
    comparable,
    downstream_steps,
    dynamics_steps,
    error_of,
    parent_step,
    reference_of,
    stage_steps,
    sweep_step,
    validation_steps,
)
from irrepress.report.study import Run, Start, Study, TaskRun
from irrepress.report.text import factor, number, plural, seconds
from irrepress.study.paths import PARENT_PLAN
from irrepress.study.stages import ORIGINAL


@dataclass(frozen=True)
class Tile:
    """A number that stands out, with what it is."""

    value: str
    caption: str


@dataclass(frozen=True)
class Story:
    """The story of one model.

    Attributes:
        model: name of the model.
        smallest: the run it goes through: the compressed model.
        final: the model that was fine-tuned from it, if the study is for one dataset.
        chosen: the model that it ends at, and how it was chosen.
        tiles: numbers that describe the final model.
        steps: the steps from the parent onwards.
    """

    model: str
    smallest: Run
    final: TaskRun | None
    chosen: str
    tiles: list[Tile]
    steps: list[Step] = field(default_factory=list)


def tell(study: Study, model: str) -> Story:
    """Return how the final model of a study came about."""
    smallest = smallest_run(study, model)
    if smallest is None:
        parent = study.parents[model]
        chosen = f"{model} was not compressed."
        return Story(
            model, parent, None, chosen, _tiles(study, parent), [parent_step(study, model)]
        )
    final = _final(study, smallest)
    steps = [
        parent_step(study, model),
        sweep_step(study, model),
        *stage_steps(study, smallest),
        *downstream_steps(study, smallest),
        *dynamics_steps(study, smallest),
        *validation_steps(study, smallest),
    ]
    tiles = _tiles(study, smallest, final)
    return Story(model, smallest, final, _chosen(study, smallest, final), tiles, steps)


def _final(study: Study, run: Run) -> TaskRun | None:
    """Return the model fine-tuned from a plan, if the study is for one dataset."""
    found = (t for t in study.finals if (t.model, t.plan) == (run.model, run.plan))
    return next(found, None)


def _chosen(study: Study, run: Run, final: TaskRun | None) -> str:
    """Return which model the story ends at, and how it was chosen."""
    trained = study.config.train_plans
    name = f"{run.plan}, {final.name if final else run.name}"
    among = trained or list(study.config.plans())
    carried = "were carried on" if trained else "were made, none of which was trained"
    if len(among) == 1:
        text = f"The study ends at {name}"
        text += (
            "."
            if final or not trained
            else ", the stage of least error of the only plan that was carried on."
        )
    else:
        text = f"Told is {name}: of the {len(among)} plans that {carried}, the one with the fewest "
        text += "parameters"
        text += "." if final else ", at its stage of least error."
    return text + " All others are in the tables below."


def smallest_run(study: Study, model: str) -> Run | None:
    """Return the compressed model of fewest parameters, at its most accurate stage.

    If plans were trained, the others do not count: without recovery they are of no use.
    Quantized and exported stages have as many parameters and do not count either. None without
    plans.
    """
    runs = [r for r in study.compressed(model) if not r.stage.is_converted]
    if trained := [r for r in runs if r.plan in study.config.train_plans]:
        runs = trained
    if not runs:
        return None
    fewest = min(r.metrics.cost.parameters for r in runs)
    candidates = [r for r in runs if r.metrics.cost.parameters == fewest]
    return min(candidates, key=lambda r: comparable(error_of(r, "forces")))


def _deployed_tile(cost: MeasuredCost) -> list[Tile]:
    """Return the speed in the runtime of deployments that budgets are measured in, if any."""
    there = cost.deployed
    if there is None:
        return []
    return [
        Tile(
            factor(1 / there.time_ratio),
            f"the parent's speed in {there.runtime}: {seconds(there.seconds)} a call instead of "
            f"{seconds(there.parent_seconds)}",
        )
    ]


def _tiles(study: Study, run: Run, final: TaskRun | None = None) -> list[Tile]:
    metrics = final.metrics if final else run.metrics
    cost = metrics.cost or run.metrics.cost
    checks = metrics.checks or run.metrics.checks
    parent = study.parents[run.model]
    before = parent.metrics.cost.parameters
    own = checks.own
    deviations = (own.rotation, own.inversion, own.translation, own.permutation)
    worst = max((value for value in deviations if value is not None), default=None)
    failures = checks.failures()
    passed = f"not passed: {', '.join(failures)}" if failures else "passed"
    return [
        Tile(
            factor(before / cost.parameters)
            if cost.parameters < before
            else f"{cost.parameters:,}",
            f"fewer parameters: {cost.parameters:,} of {before:,}"
            if cost.parameters < before
            else "parameters",
        ),
        Tile(
            factor(1 / cost.time_ratio),
            f"the parent's speed: {seconds(cost.seconds)} a call on {cost.timing_atoms} atoms "
            f"instead of {seconds(cost.parent_seconds)} ({cost.device}, "
            f"{plural(cost.threads, 'thread')})",
        ),
        *_deployed_tile(cost),
        _error_tile(study, run, final),
        Tile(
            "none" if worst is None else number(worst, 3),
            f"largest relative deviation from symmetry, in float64; checks {passed}",
        ),
    ]


def _error_tile(study: Study, run: Run, final: TaskRun | None) -> Tile:
    if final is None:
        parent = study.parents[run.model]
        return Tile(
            f"{number(error_of(run, 'forces'))} meV/Å",
            f"forces MAE against the {reference_of(run)}; the parent "
            f"{number(error_of(parent, 'forces'))}",
        )
    others = [
        f"{name} {number(error)}"
        for name, error in _beside(study, run, final, "forces")
        if not pd.isna(error)
    ]
    text = f"forces MAE against the labels of {final.dataset}, after fine-tuning"
    return Tile(
        f"{number(tables.convert(final.metrics.errors.labels, 'forces', 'mae'))} meV/Å",
        "; ".join([text, *others]),
    )


def _beside(study: Study, run: Run, final: TaskRun, quantity: str) -> list[tuple[str, float]]:
    """Return errors of earlier models on the final model's test structures."""

    def task(start: Start) -> float:
        found = study.find_task(run.model, PARENT_PLAN, ORIGINAL, final.dataset, start)
        return tables.convert(found.metrics.errors.labels if found else None, quantity, "mae")

    def own(stage: Run) -> float:
        same = stage.metrics.dataset == final.dataset
        return tables.convert(stage.metrics.errors.labels if same else None, quantity, "mae")

    start = next(
        r for r in study.compressed(run.model) if (r.plan, r.stage) == (final.plan, final.stage)
    )
    untouched = task("restricted")
    return [
        ("before it", own(start)),
        ("the parent as it is", own(study.parents[run.model]) if pd.isna(untouched) else untouched),
        ("the parent, fine-tuned alike,", task("finetuned")),
    ]
