"""What the scripts that score and plan share."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from _common import Job
from irrepress.core.groups import Group
from irrepress.core.plan import Plan
from irrepress.data.store import StructureStore
from irrepress.pruning.allocation import Limits
from irrepress.pruning.budget import Costs, Measure, summarize
from irrepress.pruning.config import Scoring
from irrepress.pruning.latency import TimeModel, TimeTable
from irrepress.pruning.normalization import normalize
from irrepress.pruning.scores import Scores
from irrepress.pruning.scoring import compute_scores
from irrepress.study.recipes import Recipe


class Planning:
    """A plan in the making.

    Attributes:
        job: the job.
        recipe: how the plan is made.
        shared: what all plans of the sweep share, by name.
        model: the unpruned model.
        groups: its groups.
        cutoff: up to which neighbours stay, in Å; None: the model's own.
        stored: the stored scores of the unpruned model.
    """

    def __init__(self, job: Job):
        self.job = job
        settings = job.params.settings
        own = {key: settings[key] for key in Recipe.model_fields if key in settings}
        self.recipe, self.shared = Recipe.model_validate(own), settings
        self.model = job.load(job.inputs.model)
        self.groups: list[Group] = self.model.groups()
        self.cutoff = self.recipe.cutoff
        if self.cutoff is not None:
            self.model.check_cutoff(self.cutoff, f"sweep: {job.wildcards.plan}")
        self.stored = Scores.load(job.inputs.scores)

    def scores(self, scores: Scores | None = None) -> Mapping[str, np.ndarray]:
        """Return scores by the plan's criterion as they compete: the stored ones, or others."""
        scores, criterion = scores or self.stored, self.recipe.criterion
        how = self.shared["normalization"]
        return normalize(scores.of(criterion), scores.groups, how, criterion)

    @cached_property
    def start(self) -> Any:
        """The model that blocks are removed from: the unpruned one, with the plan's cutoff."""
        return self.model.with_cutoff(self.cutoff)

    @cached_property
    def time_model(self) -> TimeModel | None:
        """The time of one call on this machine, if budgets are counted in it."""
        if not self.job.inputs.shapes:
            return None
        table = TimeTable.load(self.job.inputs.shapes[0])
        return TimeModel.fit(self.model.cost_terms(), table.shapes)

    @cached_property
    def unpruned(self) -> Costs:
        """What models with the unpruned one's cutoff cost."""
        return Costs.of(self.model, self.time_model)

    @cached_property
    def costs(self) -> Costs:
        """What models with the plan's cutoff cost."""
        return Costs.of(self.model, self.time_model, self.cutoff)

    @cached_property
    def measure(self) -> Measure:
        """What budgets are counted in."""
        return Measure(self.groups, self.costs, self.shared["unit"], self.unpruned)

    @cached_property
    def limits(self) -> Limits:
        """Rounding, floors and axes."""
        multiple, floor = self.shared["multiple"], self.shared["floor"]
        return Limits(multiple=multiple, floor=floor, axes=self.recipe.axes)

    def save(self, plan: Plan) -> None:
        """Round the plan to what the family holds and write it, with how it came about."""
        recipe = self.recipe
        provenance = {
            "criterion": recipe.criterion,
            "scores": self.stored.provenance,
            **plan.provenance,
        }
        if recipe.explicit is not None:
            provenance["explicit"] = recipe.explicit.model_dump(mode="json")
        else:
            names = ("budget", "axes", "allocation")
            provenance |= {name: getattr(recipe, name) for name in names}
            provenance["unit"] = self.shared["unit"]
        plan, changes = self.model.native_plan(plan)
        for change in changes:
            logging.getLogger("plan").warning(change)
        provenance["changes"] = changes
        plan = replace(plan, provenance=provenance, cutoff=self.cutoff)
        summary = summarize(plan, self.groups, self.costs, self.unpruned)
        plan.save(self.job.outputs.plan, summary)


def calibration(job: Job, model: Any, settings: Scoring) -> tuple[StructureStore, np.ndarray]:
    """Return the store that blocks are scored on, and which of its structures."""
    store = job.open_store(job.inputs.store, model)
    # Stores are in the order of their source: a stride takes calibration from all of it.
    train = store.require("train")
    return store, train[:: max(1, len(train) // settings.structures)][: settings.structures]


def score(
    job: Job,
    model: Any,
    settings: Scoring,
    store: StructureStore,
    chosen: np.ndarray,
    criteria: Sequence[str],
) -> Scores:
    """Score a model as the config says, on structures from `calibration`."""
    return compute_scores(
        model.to(job.device),
        store.iterate(chosen),
        total=len(chosen),
        batch_size=settings.batch_size,
        weights=settings.weights,
        criteria=criteria,
        probes=settings.probes,
        seed=job.params.seed,
        counts=store.count_labels(chosen),
    )
