"""Allocation by measured damage: removals are tried, not predicted from scores.

Scores are derivatives of single blocks. They rank the channels of one group well, but what is
lost when many blocks of different layers and orders go together is not the sum of their scores.
So scores choose the channels, and trials choose the layers and orders: in every round each layer
and order is narrowed as far as the round's share of the budget asks, alone, and the removal that
does the least damage per cost saved is made (as NetAdapt does for convolutional filters; Yang et
al., arXiv 1804.03230). No gradient is needed, only predictions.
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
    """A plan that was tried, the amount that it leaves, and the damage that it does."""

    plan: Plan
    left: float
    damage: float

    def price(self, before: "_Trial") -> float:
        """Return the damage that was added per cost that was saved."""
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
    """Plan for keeping a fraction, by rounds of trying removals.

    Args:
        model: the unpruned model; it is not changed.
        scores: group name -> scores of the unpruned model, ``[channels]``; they say which
            channels of a group go first.
        damage: function from a plan to its damage, such as `irrepress.pruning.damage.Damage`.
        measure: what the fraction is counted in, of the unpruned model.
        budget: what may stay of the unpruned model, 0 < budget < 1.
        step: what each round removes, as a fraction of what the round before left.
        limits: rounding, floors and axes.

    Returns:
        A plan in the unpruned model's channels; its provenance records what every round left and
        the damage done.

    Raises:
        UserError: the budget cannot be met; the message says what can.
    """
    limits = limits or Limits()
    groups = model.groups()
    target = measure.target(budget)

    def attempt(removals: Iterable[Mapping[str, int]], left: float, name: str) -> list[_Trial]:
        """Try the removals that leave less than ``left``, each outcome once."""
        tries = {}
        for widths in removals:
            plan, _ = model.native_plan(plan_for_widths(groups, scores, widths))
            widths = plan.widths(groups)
            if (after := measure(widths)) < left:
                tries[tuple(sorted(widths.items()))] = plan, after
        every = tracked(tries.values(), name, "removals", len(tries))
        return [_Trial(plan, after, damage(plan)) for plan, after in every]

    # The greedy plan takes part: step by step, trials may lead to where no single step leads on.
    greedy = allocate_greedily(groups, scores, measure, target, limits)
    check_met(greedy, measure, budget, limits)
    finished = [
        trial
        for trial in attempt([greedy.widths], measure.whole, "greedy plan")
        if trial.left <= target
    ]
    rounds: list[dict[str, float | None]] = []
    start = _Trial(Plan.identity(groups), measure.whole, 0.0)
    # A whole order is too large a removal to compete with others in a round: what can be had
    # below it is a search of its own, unless the cut alone meets the budget.
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
            if not trials:  # what is left is rounded away by what the family can hold
                break
            finished += [trial for trial in trials if trial.left <= target]
            before = now
            now = min(trials, key=lambda trial: trial.price(before))
            left = now.left / measure.whole
            rounds.append({"highest": highest, "left": left, "damage": now.damage})
            logger.info(
                "round %d: %.3f is left, damage %.4g, the best of %d",
                *(len(rounds), left, now.damage, len(trials)),
            )
        if start.left <= target:
            finished.append(start)
            break
    if not finished:
        raise UserError(
            f"budget: {budget:g} of the {measure.unit} cannot be met: every removal that is left "
            "is rounded away by what the family can hold. Raise the budget"
        )
    # A removal that was dear in an early round may have met the budget at less damage in all.
    best = min(finished, key=lambda trial: trial.damage)
    found = {"rounds": rounds, "left": best.left / measure.whole, "damage": best.damage}
    return Plan(keep=best.plan.keep, channels=best.plan.channels, provenance=found)


def _highest_orders(groups: Sequence[Group], limits: Limits) -> list[int | None]:
    """Return what is searched below, from the top down; None: no order is cut as a whole."""
    orders = sorted({g.l for g in groups if g.axis == "order"}, reverse=True)
    return [None, *orders[1:]] if limits.axes == "both" else [None]


def _removals(
    groups: Sequence[Group],
    widths: Mapping[str, int],
    measure: Measure,
    goal: float,
    limits: Limits,
) -> Iterator[dict[str, int]]:
    """Yield widths after each removal that is worth a trial.

    Of each width key: the widest that meets the goal alone, or half of what there is if none
    does; and the least, which is the end of an order at a layer. Of the components along edges:
    the highest.
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
        if key in follow:  # as many as elsewhere, or none
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
