"""Allocation of a budget over layers and orders: from scores and a target to widths.

*Greedy*: over the whole network, blocks are removed in the order of score lost per cost saved,
lowest first. Removing an entire order also cuts that order from the spherical-harmonics filter,
which no channel-wise step can do. The search therefore runs once for each highest order and, where
features along edges have components that can be cut, once for each highest component. The widths
that lose the least total score are used.

*Even*: every width keeps the same fraction of its channels, and no order is dropped.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import lcm
from typing import NamedTuple

import numpy as np

from irrepress.core.groups import Group, followers, widths_of
from irrepress.pruning.config import Axes

# Maps widths of all keys to the quantity that must fall below a target, such as FLOPs or seconds.
Measured = Callable[[Mapping[str, int]], float]


@dataclass(frozen=True)
class Limits:
    """Constraints on a plan in addition to its budget.

    Attributes:
        multiple: widths are multiples of this number, zero, the full width, or the floor.
        floor: minimum number of scalar channels.
        axes: ``both`` allows orders to be removed; ``channels`` keeps at least ``multiple``
            channels of every order in every layer.

    Example:
        >>> limits = Limits(multiple=16, floor=8)
        >>> group = Group("features.0.0e", 0, "0e", 64, "features.0.0e")
        >>> limits.least(group), limits.next_below(64, least=8)
        (8, 48)
    """

    multiple: int = 8
    floor: int = 8
    axes: Axes = "both"

    def least(self, group: Group) -> int:
        """Return the minimum number of channels that a group may be narrowed to."""
        if group.l == 0 and group.axis in ("channel", "width"):
            return min(group.channels, group.round_up(self.floor))
        if self.axes == "channels":
            return min(group.channels, group.round_up(self.multiple))
        return group.floor

    def next_below(self, width: int, least: int) -> int:
        """Return the largest allowed width below ``width``."""
        return max((width - 1) // self.multiple * self.multiple, least)


@dataclass(frozen=True)
class Allocated:
    """Widths found for a target.

    Attributes:
        widths: width key -> number of channels kept, for all keys.
        measured: the measured quantity; above the target if the target cannot be met.
        highest: the highest order that was not removed entirely.

    Example:
        >>> groups = [Group("features.0.0e", 0, "0e", 4, "features.0.0e")]
        >>> limits = Limits(multiple=1, floor=1)
        >>> found = allocate_evenly(groups, lambda widths: sum(widths.values()), 2, limits)
        >>> found.widths, found.measured
        ({'features.0.0e': 2}, 2)
    """

    widths: dict[str, int]
    measured: float
    highest: int


def allocate_greedily(
    groups: Sequence[Group],
    scores: Mapping[str, np.ndarray],
    measured: Measured,
    target: float,
    limits: Limits,
    *,
    highest: int | None = None,
) -> Allocated:
    """Remove the blocks with the lowest score per cost saved until a target is met.

    Args:
        groups: the model's groups.
        scores: group name -> scores, ``[channels]``.
        measured: function from widths to the quantity to be reduced.
        target: upper limit of that quantity.
        limits: rounding, floors and axes.
        highest: highest order to keep; None: try every one.

    Returns:
        The widths that meet the target and lose the least score; if none meet it, those with the
        smallest measured quantity.

    Example:
        >>> groups = [Group(f"features.{i}.0e", i, "0e", 4, f"features.{i}.0e") for i in range(2)]
        >>> scores = {"features.0.0e": np.array([4, 3, 2, 1]), "features.1.0e": np.full(4, 5)}
        >>> limits = Limits(multiple=1, floor=1, axes="channels")
        >>> def blocks(widths):
        ...     return sum(widths.values())
        >>> allocate_greedily(groups, scores, blocks, 6, limits).widths
        {'features.0.0e': 2, 'features.1.0e': 4}
    """
    orders = {g.l for g in groups if g.axis == "order"}
    if highest is not None:
        cuts = [highest]
    elif limits.axes == "both":
        cuts = sorted(orders, reverse=True)
    else:
        cuts = [max(orders, default=0)]
    components = sorted({g.l for g in groups if g.axis == "component"}, reverse=True)
    if limits.axes == "both" and components:
        components.append(0)
    searches = [
        _Search(groups, scores, measured, limits, cut, component)
        for cut in cuts
        # Components above the highest order go with it.
        for component in [c for c in components if c <= cut] or [cut]
    ]
    for search in searches:
        search.run(target)
    meeting = [search for search in searches if search.measured <= target]
    best = (
        min(meeting, key=lambda search: search.lost)
        if meeting
        else min(searches, key=lambda search: search.measured)
    )
    return Allocated(widths=best.widths, measured=best.measured, highest=best.highest)


def allocate_evenly(
    groups: Sequence[Group], measured: Measured, target: float, limits: Limits
) -> Allocated:
    """Keep the same fraction of every width: the largest fraction that meets a target.

    Widths are rounded to the nearest width that the limits allow. No order is dropped, even if
    ``limits.axes`` is ``both``. Arguments and result are as in `allocate_greedily`.
    """
    keeping = Limits(multiple=limits.multiple, floor=limits.floor, axes="channels")
    full = widths_of(groups)
    least: dict[str, int] = {}
    following = followers(groups)
    base_of = {key: base for base, keys in following.items() for key in keys}
    for g in groups:
        own = keeping.least(g) if g.axis in ("channel", "width") else g.channels
        base = base_of.get(g.width, g.width)
        least[base] = max(least.get(base, 0), own)
    own_limits = limits_by_width(groups, keeping)
    allowed = {key: allowed_widths(full[key], least[key], own_limits[key]) for key in least}
    # Fractions at which a width is rounded up instead of down; those in between change nothing.
    borders = {
        key: [(low + high) / 2 / full[key] for low, high in pairwise(steps)]
        for key, steps in allowed.items()
    }
    fractions = [0.0, *sorted({border for found in borders.values() for border in found})]

    def widths_at(fraction: float) -> dict[str, int]:
        found = {key: steps[bisect_right(borders[key], fraction)] for key, steps in allowed.items()}
        return {key: found[base_of.get(key, key)] for key in full}

    # Bisection: the fraction at `low` meets the target or is the smallest; the one at `high` fails.
    low, high = 0, len(fractions)
    while high - low > 1:
        middle = (low + high) // 2
        if measured(widths_at(fractions[middle])) <= target:
            low = middle
        else:
            high = middle
    widths = widths_at(fractions[low])
    highest = max((g.l for g in groups), default=0)
    return Allocated(widths=widths, measured=measured(widths), highest=highest)


def limits_by_width(groups: Sequence[Group], limits: Limits) -> dict[str, Limits]:
    """Return the limits of every width key, including the multiple that the family requires."""
    return {g.width: replace(limits, multiple=lcm(limits.multiple, g.multiple)) for g in groups}


def allowed_widths(width: int, least: int, limits: Limits) -> list[int]:
    """Return the allowed widths in ascending order, from ``least`` to ``width``."""
    steps = [width]
    while steps[-1] > least:
        steps.append(limits.next_below(steps[-1], least))
    return steps[::-1]


def changed_widths(
    widths: Mapping[str, int], key: str, width: int, following: Mapping[str, Sequence[str]]
) -> dict[str, int]:
    """Return widths with a new value for ``key`` and for the nonzero keys that follow it."""
    changed = {other: width for other in following.get(key, ()) if widths[other]}
    return {**widths, **changed, key: width}


class _Search:
    """Greedy removal of channels up to a highest order and component.

    Groups that share a width key lose their channels together: the i-th removal takes the i-th
    lowest score of each group. The same holds for keys that follow another key; on their own they
    can only be removed entirely. Orders of products (axis ``correlation``) are kept: they are few
    and change the model a lot, so removing them is left to the user.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        scores: Mapping[str, np.ndarray],
        measured: Measured,
        limits: Limits,
        highest: int,
        component: int,
    ):
        self._measure = measured
        self._limits = limits_by_width(groups, limits)
        self.highest = highest
        self.widths = widths_of(groups)
        self._floor: dict[str, int] = {}
        self._losses: dict[str, np.ndarray] = {}
        for g in groups:
            ascending = np.sort(scores[g.name])
            if g.width in self._losses:
                ascending = ascending + self._losses[g.width]
            self._losses[g.width] = ascending
            self._floor[g.width] = max(self._floor.get(g.width, 0), limits.least(g))
        self._full = dict(self.widths)
        self.lost = 0.0
        for g in groups:
            most = min(highest, component) if g.axis == "component" else highest
            if g.l > most and g.floor == 0 and self.widths[g.width]:
                self.lost += float(self._losses[g.width].sum())
                self.widths[g.width] = 0
        self._channels = sorted({g.width for g in groups if g.axis in ("channel", "width")})
        self._followers = followers(groups)
        self._following = {key for keys in self._followers.values() for key in keys}
        self.measured = measured(self.widths)

    def run(self, target: float) -> None:
        """Remove channels, lowest loss per saving first, until the target is met or none are left.

        Of all removals considered on the way that would have met the target, the one with the
        lowest total loss is used, so that a large last step does not overshoot the target.
        """
        finished: tuple[float, float, dict[str, int]] | None = None
        while self.measured > target:
            moves = [move for key in self._channels for move in self._moves(key)]
            if not moves:
                break
            for move in moves:
                total = self.lost + move.loss
                if move.measured <= target and (finished is None or total < finished[0]):
                    finished = (total, move.measured, self._after(move.key, move.width))
            best = min(moves)
            self.widths, self.measured = self._after(best.key, best.width), best.measured
            self.lost += best.loss
        if finished is not None:
            self.lost, self.measured, self.widths = finished

    def _moves(self, key: str) -> Iterator["_Move"]:
        """Yield removals at a width key, one for each allowed smaller width.

        Looking only one step ahead is not enough: removing the last channels of an order in a layer
        also removes all of its paths, which may save more than all steps before it.
        """
        allowed = allowed_widths(self.widths[key], self._floor[key], self._limits[key])
        loss = 0.0
        if key in self._following:
            allowed = [0, self.widths[key]] if self._floor[key] == 0 < self.widths[key] else []
        moving = [key, *(k for k in self._followers.get(key, ()) if self.widths[k])]
        for width, above in reversed(list(pairwise(allowed))):
            for each in moving:
                full = self._full[each]
                loss += float(self._losses[each][full - above : full - width].sum())
            measured = self._measure(self._after(key, width))
            saving = max(self.measured - measured, 1e-12)
            yield _Move(loss / saving, key, width, loss, measured)

    def _after(self, key: str, width: int) -> dict[str, int]:
        return changed_widths(self.widths, key, width, self._followers)


class _Move(NamedTuple):
    """A removal; they sort from best to worst."""

    price: float
    key: str
    width: int
    loss: float
    measured: float
