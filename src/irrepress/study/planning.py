"""From scores and a recipe to a plan that the model's family can build."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from irrepress.catalogue.families import named_shapes
from irrepress.core.errors import UserError
from irrepress.core.groups import Group
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.deploy.runtimes import groups_taken, refusals
from irrepress.pruning.allocation import Limits
from irrepress.pruning.budget import (
    Costs,
    Measure,
    OutOfReach,
    named_target,
    plan_for_fraction,
    plan_for_irreps,
    summarize,
)
from irrepress.pruning.calibration import Calibration
from irrepress.pruning.config import Sweep
from irrepress.pruning.iterated import plan_iterated
from irrepress.pruning.latency import TimeModel, TimeTable
from irrepress.pruning.layers import choose_layers, suit_layers
from irrepress.pruning.measured import plan_measured
from irrepress.pruning.normalization import normalize
from irrepress.pruning.scores import Scores
from irrepress.study.recipes import Recipe

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Planning:
    """A plan in the making.

    Attributes:
        model: the unpruned model; it is not changed.
        recipe: how the plan is made.
        sweep: what all plans of a sweep share: unit, multiple, floor, normalization, step.
        stored: scores of the unpruned model.
        times: timed shapes of the unpruned model, where budgets are counted in time.

    Example:
        >>> from irrepress.core.target import Explicit
        >>> from irrepress.families import get_family
        >>> from irrepress.pruning.scoring import compute_scores
        >>> model = get_family("sevennet").load("7net-0")
        >>> scores = compute_scores(model, [], criteria=["magnitude"])
        >>> target = Explicit(irreps="64x0e+32x1e", filter_lmax=1)
        >>> recipe = Recipe(criterion="magnitude", explicit=target)
        >>> planning = Planning(model, recipe, Sweep(), scores)
        >>> plan = planning.plan()
        >>> planning.summary(plan)["irreps"][1:3]
        ['64x0e+32x1e', '64x0e+32x1e']
    """

    model: Model
    recipe: Recipe
    sweep: Sweep
    stored: Scores
    times: TimeTable | None = None

    def plan(self, calibration: Calibration | None = None) -> Plan:
        """Return the plan, rounded to what the family holds, with how it came about.

        Args:
            calibration: structures to score or to try removals on again and again; needed if the
                recipe is one in rounds.

        Raises:
            UserError: if the target cannot be reached; the message says what can.
            ValueError: if a recipe in rounds has no calibration, or the unit ``time`` no times, or
                those of another runtime.
        """
        recipe = self.recipe
        if self.times is not None and self.times.timed_in["runtime"] != self.sweep.runtime:
            raise ValueError(f"the times are not those of the runtime {self.sweep.runtime!r}")
        if recipe.cutoff is not None:
            self.model.check_cutoff(recipe.cutoff)
        if recipe.in_rounds and self.sweep.kept_to is not None:
            raise UserError(
                f"allocation: {recipe.allocation!r} does not keep plans to what "
                f"{self.sweep.kept_to} takes; take 'greedy' or 'uniform'"
            )
        layers = self.layers
        try:
            plan = self._chosen(calibration)
        except OutOfReach:
            raise
        except UserError as error:
            raise self._with_nearest(error) from None
        provenance: dict[str, Any] = {
            "criterion": recipe.criterion,
            "scores": self.stored.provenance,
            **plan.provenance,
        }
        if recipe.explicit is not None:
            provenance["explicit"] = recipe.explicit.model_dump(mode="json")
        else:
            names = ("budget", "axes", "allocation")
            provenance |= {name: getattr(recipe, name) for name in names}
            provenance["unit"] = self.sweep.unit
            if self.times is not None:
                provenance["timed_in"] = self.times.timed_in
        if self.sweep.deployable is not None:
            provenance["deployable"] = self.sweep.deployable
        if layers is not None:
            provenance["layers"] = {"asked": recipe.layers, "kept": list(layers)}
        plan, changes = self.reduced.native_plan(plan)
        for change in changes:
            logger.warning(change)
        provenance["changes"] = changes
        return replace(plan, provenance=provenance, cutoff=recipe.cutoff, layers=layers)

    def summary(self, plan: Plan) -> dict[str, Any]:
        """Describe a plan for readers; see `irrepress.pruning.budget.summarize`."""
        summary = summarize(plan, self.groups, self.costs, self.unpruned, self.model.groups())
        if self.times is not None:
            summary["timed_in"] = self.times.timed_in
        return summary

    def _chosen(self, calibration: Calibration | None) -> Plan:
        recipe, scores = self.recipe, self._competing(self.stored)
        if recipe.explicit is not None:
            shapes = named_shapes(self.model.family.name)
            return plan_for_irreps(self.groups, scores, named_target(recipe.explicit, shapes))
        assert recipe.budget is not None  # as recipes are checked
        if recipe.allocation == "greedy" or recipe.allocation == "uniform":
            return plan_for_fraction(
                self.groups,
                scores,
                self.measure,
                budget=recipe.budget,
                allocation=recipe.allocation,
                limits=self.limits,
            )
        if calibration is None:
            raise ValueError(f"allocation {recipe.allocation!r} needs calibration structures")
        options: dict[str, Any] = {
            "measure": self.measure,
            "budget": recipe.budget,
            "step": self.sweep.step,
            "limits": self.limits,
        }
        start = self.model.with_cutoff(recipe.cutoff)
        if recipe.allocation == "measured":
            return plan_measured(start, scores, calibration.damage(self.model, start), **options)

        def rescored(model: Model) -> Mapping[str, np.ndarray]:
            if model is start:  # scored already, a shorter cutoff changes little
                return scores
            return self._competing(calibration.score(model, [recipe.criterion]))

        return plan_iterated(start, rescored, **options)

    def _with_nearest(self, error: UserError) -> UserError:
        """Return what a target that leaves the asked runtime ends in, with one that does not."""
        explicit = self.recipe.explicit
        if self.sweep.kept_to is None or explicit is None:
            return error
        fixed = {g.width for g in self.groups if g.floor == g.channels or g.sized_like}
        widths = {key: count for key, count in explicit.widths.items() if key not in fixed}
        content = explicit.model_dump(exclude={"filter_lmax", "widths"}, exclude_defaults=True)
        asked = {**content, **({"widths": widths} if widths else {})}
        return UserError(
            f"{error}; {self.sweep.kept_to} needs the orders of the filter and of products, and "
            f"messages as wide as features: the nearest that it takes is {asked or 'the parent'}"
        )

    def _competing(self, scores: Scores) -> Mapping[str, np.ndarray]:
        """Return scores by the recipe's criterion as they compete, those of the kept layers."""
        criterion = self.recipe.criterion
        values = scores.of(criterion)
        values = normalize(values, scores.groups, self.sweep.normalization, criterion)
        if self.layers is None:
            return values
        names = self.model.groups_with_layers(self.layers)
        return {g.name: values[names[g.name]][: g.channels] for g in self.groups}

    @cached_property
    def layers(self) -> tuple[int, ...] | None:
        """The layers to keep; None: all."""
        asked = self.recipe.layers
        if asked == "auto":
            asked = suit_layers(self.model, self._left)
        return choose_layers(self.model, asked)

    def _left(self, layers: tuple[int, ...] | None) -> float:
        """Return the fraction of the cost of some layers at full widths that the budget allows."""
        assert self.recipe.budget is not None  # as recipes are checked
        costs = Costs.of(self.model, self.time_model, self.recipe.cutoff, layers)
        measure = Measure(self.model.with_layers(layers).groups(), costs, self.sweep.unit)
        return self.recipe.budget * self._whole / measure.whole

    @cached_property
    def reduced(self) -> Model:
        """The model with the layers to keep alone, from which blocks are removed."""
        return self.model.with_layers(self.layers)

    @cached_property
    def groups(self) -> list[Group]:
        """The groups of the unpruned model, with the layers to keep.

        Raises:
            UserError: models are to be deployable for a runtime that does not take the parent.
        """
        said = "sweep.deployable" if self.sweep.deployable else "sweep.runtime"
        kept_to = self.sweep.kept_to or "native"
        reasons = refusals(self.reduced, kept_to)
        if self.layers is not None and reasons and not refusals(self.model, kept_to):
            kept = ", ".join(map(str, self.layers))
            raise UserError(
                f"{said}: {kept_to} does not take the layers {kept} alone, for "
                f"{'; '.join(reasons)}; leave 'layers' out, or {said.removeprefix('sweep.')}"
            )
        return groups_taken(self.reduced, kept_to, said)

    @cached_property
    def time_model(self) -> TimeModel | None:
        """The time of one call on this machine, if it is known."""
        if self.times is None:
            return None
        return TimeModel.fit(self.model.cost_terms(), self.times.shapes)

    @cached_property
    def unpruned(self) -> Costs:
        """What models with the unpruned one's cutoff and layers cost."""
        return Costs.of(self.model, self.time_model)

    @cached_property
    def costs(self) -> Costs:
        """What models with the plan's cutoff and layers cost."""
        return Costs.of(self.model, self.time_model, self.recipe.cutoff, self.layers)

    @cached_property
    def measure(self) -> Measure:
        """What budgets are counted in."""
        return Measure(self.groups, self.costs, self.sweep.unit, self._whole)

    @cached_property
    def _whole(self) -> float:
        """What budgets are fractions of."""
        return Measure(self.model.groups(), self.unpruned, self.sweep.unit).whole

    @property
    def limits(self) -> Limits:
        """Rounding, floors and axes."""
        sweep = self.sweep
        return Limits(multiple=sweep.multiple, floor=sweep.floor, axes=self.recipe.axes)
