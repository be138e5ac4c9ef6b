"""Allocation by measured damage: removals are tried out instead of predicted from scores.

Scores are derivatives for single blocks. They rank the channels of one group well, but the loss
from removing many blocks of different layers and orders is not the sum of their scores. So scores
choose the channels, and trials choose the layers and orders: in every round each layer and order is
narrowed on its own until the round's target is met, and the removal with the least damage per cost
saved is made (as in NetAdapt for convolutional filters; Yang et al., arXiv 1804.03230). This needs
no gradients, only predictions.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from irrepress.core.errors import UserError
from irrepress.core.groups import Group, followers
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.core.progress import tracked
from irrepress.pruning.allocation import (
    Limits,
    allocate_greedily,
    allowed_widths,
    changed_widths,
    limits_by_width,
)
from irrepress.pruning.budget import Measure, check_met, plan_for_widths

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Trial:
    """A plan that was tried, the amount it leaves, and the damage it does."""

    plan: Plan
    left: float
    damage: float

    def price(self, before: "_Trial") -> float:
        """Return the added damage per cost saved."""
        return (self.damage - before.damage) / (before.left - self.left)


def plan_measured(
    model: Model,
    scores: Mapping[str, np.ndarray],
    damage: Callable[[Plan], float],
    measure: Measure,
    *,
    budget: float,
    step: float,
    limits: Limits | None = None,
) -> Plan:
    """Return a plan that keeps a fraction, found by rounds of trying removals.

    Args:
        model: the unpruned model; it is not changed.
        scores: group name -> scores of the unpruned model, ``[channels]``; they decide which
            channels of a group are removed first.
        damage: function from a plan to its damage, such as `irrepress.pruning.damage.Damage`.
        measure: the quantity that the budget limits, for the unpruned model.
        budget: fraction of the unpruned model to keep, 0 < budget < 1.
        step: fraction of the remaining amount that each round removes.
        limits: rounding, floors and axes.

    Returns:
        A plan in the unpruned model's channels; its provenance records the fraction left and the
        damage after each round.

    Raises:
        UserError: if the budget cannot be met; the message gives the smallest one that can.
    """
    limits = limits or Limits()
    groups = model.groups()
    target = measure.target(budget)

    def attempt(removals: Iterable[Mapping[str, int]], left: float, name: str) -> list[_Trial]:
        """Try the removals that leave less than ``left``, without duplicates."""
        tries = {}
        for widths in removals:
            plan, _ = model.native_plan(plan_for_widths(groups, scores, widths))
            widths = plan.widths(groups)
            if (after := measure(widths)) < left:
                tries[tuple(sorted(widths.items()))] = plan, after
        every = tracked(tries.values(), name, "removals", len(tries))
        return [_Trial(plan, after, damage(plan)) for plan, after in every]

    # The greedy plan is a candidate too, as trials can reach a point where no single step helps.
    greedy = allocate_greedily(groups, scores, measure, target, limits)
    check_met(greedy, measure, budget, limits)
    finished = [
        trial
        for trial in attempt([greedy.widths], measure.whole, "greedy plan")
        if trial.left <= target
    ]
    rounds: list[dict[str, float | None]] = []
    start = _Trial(Plan.identity(groups), measure.whole, 0.0)
    # An entire order is too large a removal to compete with others in a round, so each highest
    # order gets its own search, unless the cut alone meets the budget.
    for highest in _highest_orders(groups, limits):
        if highest is not None:
            widths = start.plan.widths(groups)
            cut = widths | {g.width: 0 for g in groups if g.l > highest and g.floor == 0}
            trials = attempt([cut], start.left, f"order {highest + 1}")
            if not trials:
                break
            (start,) = trials
        now = start
        while now.left > target:
            goal = max(target, (1 - step) * now.left)
            removals = _removals(groups, now.plan.widths(groups), measure, goal, limits)
            trials = attempt(removals, now.left, f"round {len(rounds) + 1}")
            if not trials:  # rounding to widths that the family can build undoes all of them
                break
            finished += [trial for trial in trials if trial.left <= target]
            before = now
            now = min(trials, key=lambda trial: trial.price(before))
            left = now.left / measure.whole
            rounds.append({"highest": highest, "left": left, "damage": now.damage})
            logger.info(
                "round %d: %.3f is left, damage %.4g, best of %d trials",
                *(len(rounds), left, now.damage, len(trials)),
            )
        if start.left <= target:
            finished.append(start)
            break
    if not finished:
        raise UserError(
            f"budget: {budget:g} of the {measure.unit} cannot be met: the family can only build "
            "some widths, and rounding to them undoes every removal that is left. Raise the budget"
        )
    # A removal that was expensive in an early round may meet the budget with less total damage.
    best = min(finished, key=lambda trial: trial.damage)
    found = {"rounds": rounds, "left": best.left / measure.whole, "damage": best.damage}
    return Plan(keep=best.plan.keep, channels=best.plan.channels, provenance=found)


def _highest_orders(groups: Sequence[Group], limits: Limits) -> list[int | None]:
    """Return the highest orders to search with, in descending order; None: no order is cut."""
    orders = sorted({g.l for g in groups if g.axis == "order"}, reverse=True)
    return [None, *orders[1:]] if limits.axes == "both" else [None]


def _removals(
    groups: Sequence[Group],
    widths: Mapping[str, int],
    measure: Measure,
    goal: float,
    limits: Limits,
) -> Iterator[dict[str, int]]:
    """Yield the widths after each removal that is worth trying.

    For each width key: the largest width that meets the goal on its own, or half the width if none
    does; and the minimum, which may remove an order from a layer. For components along edges: the
    highest.
    """
    own_limits = limits_by_width(groups, limits)
    least: dict[str, int] = {}
    for g in groups:
        least[g.width] = max(least.get(g.width, 0), limits.least(g))
    following = followers(groups)
    follow = {key for keys in following.values() for key in keys}
    for key in sorted({g.width for g in groups if g.axis in ("channel", "width")}):
        if widths[key] <= least[key]:
            continue
        smaller = allowed_widths(widths[key], least[key], own_limits[key])[-2::-1]
        if key in follow:  # all or none: the key follows another width
            chosen = {0} if least[key] == 0 else set()
        else:
            after = {w: changed_widths(widths, key, w, following) for w in smaller}
            meeting = [w for w in smaller if measure(after[w]) <= goal]
            half = [w for w in smaller if w <= widths[key] / 2] or smaller[-1:]
            chosen = {meeting[0] if meeting else half[0], *([0] if least[key] == 0 else [])}
        for width in sorted(chosen):
            yield changed_widths(widths, key, width, following)
    components = [g for g in groups if g.axis == "component" and widths[g.width] > g.floor]
    if limits.axes == "both" and components:
        highest = max(components, key=lambda g: g.l)
        yield {**widths, highest.width: 0}
