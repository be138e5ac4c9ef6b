"""Recipes of the plans in a sweep, and their names."""

from itertools import product
from typing import Any

from pydantic import Field, model_validator

from irrepress.core.section import Fraction, LayerChoice, Radius, Section
from irrepress.core.target import Explicit
from irrepress.pruning.config import Allocation, Axes, Criterion, Sweep


class Recipe(Section):
    """How to make a plan: from a budget or from explicit irreps.

    Attributes:
        criterion: the criterion of the scores.
        axes: whether orders are pruned as well as channels.
        cutoff: cutoff radius in Å; None: the parent's own.
        layers: how many message-passing layers to keep, or which; ``auto``: as many as suit the
            budget; None: all.
        allocation: how the budget is spread; None without a budget.
        budget: fraction to keep; None for explicit irreps.
        explicit: the target instead of a budget.

    Example:
        >>> Recipe(criterion="taylor", axes="channels", allocation="greedy", budget=0.5).allocation
        'greedy'
    """

    criterion: Criterion
    axes: Axes = "both"
    allocation: Allocation | None = None
    cutoff: Radius | None = None
    layers: LayerChoice | None = Field(None, exclude_if=lambda layers: layers is None)
    budget: Fraction | None = None
    explicit: Explicit | None = None

    @model_validator(mode="after")
    def _one_target(self) -> "Recipe":
        by_budget = None not in (self.budget, self.allocation)
        if by_budget == (self.explicit is not None) or (self.budget is None) == by_budget:
            raise ValueError("give either a budget and an allocation or an explicit target")
        if self.layers is not None and self.in_rounds:
            raise ValueError(
                f"allocation {self.allocation!r} tries the model as it goes, and one with fewer "
                "layers is of use only after compensation; take 'greedy' or 'uniform' with layers"
            )
        return self

    @property
    def in_rounds(self) -> bool:
        """Whether it runs the model in several rounds instead of only using stored scores."""
        return self.allocation in ("iterated", "measured")

    def record(self) -> dict[str, Any]:
        """Return the recipe as plain data, without entries that do not apply."""
        absent = {"explicit"} if self.explicit is None else {"budget", "allocation"}
        return self.model_dump(mode="json", exclude=absent)


def recipes(sweep: Sweep) -> dict[str, Recipe]:
    """Return every plan of a sweep: name -> recipe.

    Uniform allocation keeps all orders for any axes, so its plans are only made for the first axes.
    """
    made: dict[str, Recipe] = {}
    for criterion in sweep.criteria:
        for axes, allocation, layers, cutoff in product(
            sweep.axes, sweep.allocations, sweep.layers, sweep.cutoffs
        ):
            if allocation == "uniform" and axes != sweep.axes[0]:
                continue
            for budget in sweep.budgets:
                recipe = Recipe(
                    criterion=criterion,
                    axes=axes,
                    allocation=allocation,
                    cutoff=cutoff,
                    layers=layers,
                    budget=budget,
                )
                made[plan_name(recipe, f"{budget:.2f}")] = recipe
        for name, explicit in sweep.explicit.items():
            recipe = Recipe(
                criterion=criterion,
                cutoff=explicit.cutoff,
                layers=explicit.layers,
                explicit=explicit,
            )
            made[plan_name(recipe, name)] = recipe
    return made


def plan_name(recipe: Recipe, target: str) -> str:
    """Return the name of a plan: ``taylor-0.50-channels-3L-4.6A``, ``taylor-half-l1``.

    Args:
        recipe: the recipe.
        target: its budget, or the name of its explicit irreps.
    """
    name = f"{recipe.criterion}-{target}"
    if recipe.explicit is not None:  # the name includes its cutoff and layers
        return name
    name += "" if recipe.axes == "both" else f"-{recipe.axes}"
    name += "" if recipe.allocation == "greedy" else f"-{recipe.allocation}"
    if recipe.layers is not None:
        kept = recipe.layers if isinstance(recipe.layers, list) else [recipe.layers]
        name += f"-{'.'.join(map(str, kept))}L"
    return name if recipe.cutoff is None else f"{name}-{recipe.cutoff:g}A"
