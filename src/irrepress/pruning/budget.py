"""From scores and a budget to a plan: which blocks go, over all layers and orders.

Blocks are removed where the score lost per cost saved is least, first-come over the whole
network. Removing an order as a whole also cuts the order from the spherical-harmonics filter,
which no channel-wise step can do; the search therefore runs once per highest order, and the
plan that loses the least summed score is taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from irrepress.config import Axes, Explicit, Unit
from irrepress.errors import UserError
from irrepress.families.base import Cost, CostModel
from irrepress.pruning.blocks import Group, widths_of
from irrepress.pruning.plan import Plan


@dataclass(frozen=True)
class Limits:
    """What a plan must respect besides its budget.

    Attributes:
        multiple: widths are multiples of this, or zero, or full.
        floor: least number of channels kept of scalars.
        axes: ``both`` lets orders disappear; ``channels`` keeps ``multiple`` channels at least
            of every order at every layer.
    """

    multiple: int = 8
    floor: int = 8
    axes: Axes = "both"


def plan_for_fraction(
    groups: Sequence[Group],
    scores: Mapping[str, np.ndarray],
    cost_model: CostModel,
    *,
    budget: float,
    unit: Unit,
    limits: Limits | None = None,
) -> Plan:
    """Plan for keeping a fraction of blocks, parameters or FLOPs.

    Args:
        groups: the model's groups.
        scores: group name -> scores, ``[channels]``.
        cost_model: the family's, from widths to cost.
        budget: what may stay, 0 < budget < 1.
        unit: what the fraction is counted in.
        limits: rounding, floors and axes.

    Returns:
        The plan with the least summed score of removed blocks that meets the budget.

    Raises:
        UserError: the budget cannot be met; the message says what can.
    """
    if not 0 < budget < 1:
        raise UserError(f"budget: must lie between 0 and 1, it is {budget}")
    limits = limits or Limits()
    measure = _Measure(groups, cost_model, unit)
    target = budget * measure(widths_of(groups))
    orders = {g.l for g in groups if g.axis == "order"}
    cuts = sorted(orders, reverse=True) if limits.axes == "both" else [max(orders, default=0)]
    best: tuple[float, dict[str, int]] | None = None
    least = float("inf")
    for highest in cuts:
        search = _Search(groups, scores, measure, limits, highest)
        search.run(target)
        least = min(least, search.measured)
        if search.measured <= target and (best is None or search.lost < best[0]):
            best = (search.lost, search.widths)
    if best is None:
        raise UserError(
            f"budget: {budget:g} of the {unit} cannot be met with multiple {limits.multiple}, "
            f"floor {limits.floor} and axes {limits.axes!r}; the least is "
            f"{least / measure(widths_of(groups)):.3f}. Raise the budget or lower sweep.floor"
        )
    return plan_for_widths(groups, scores, best[1])


def plan_for_irreps(
    groups: Sequence[Group], scores: Mapping[str, np.ndarray], explicit: Explicit
) -> Plan:
    """Plan for explicit target irreps.

    Args:
        groups: the model's groups.
        scores: group name -> scores, ``[channels]``; the best channels are kept.
        explicit: irreps such as ``64x0e+32x1e`` for every layer, or one text a layer. Orders
            that a layer does not have are not asked of it when one text serves all layers.

    Raises:
        UserError: irreps that cannot be read, more channels than the model has, too few, or
            the wrong number of layers.
    """
    channels = [g for g in groups if g.axis == "channel"]
    layers = sorted({g.layer for g in channels})
    single = isinstance(explicit.irreps, str)
    texts = [explicit.irreps] * len(layers) if single else explicit.irreps
    if len(texts) != len(layers):
        raise UserError(
            f"explicit irreps: {len(texts)} are given, the model has {len(layers)} layers of node "
            "features; give one text, or one a layer"
        )
    wanted = {layer: _parse_irreps(text) for layer, text in zip(layers, texts, strict=True)}
    for layer in layers:
        known = {g.irrep for g in channels if g.layer == layer}
        everywhere = {g.irrep for g in channels}
        for irrep in wanted[layer]:
            if irrep not in (everywhere if single else known):
                raise UserError(
                    f"explicit irreps: layer {layer} has no {irrep}; "
                    f"it has {', '.join(sorted(known))}"
                )
    widths: dict[str, int] = {}
    for g in channels:
        count = wanted[g.layer].get(g.irrep, 0)
        if not g.floor <= count <= g.channels:
            raise UserError(
                f"explicit irreps: {count}x{g.irrep} in layer {g.layer} is outside "
                f"{g.floor}-{g.channels}"
            )
        if widths.setdefault(g.width, count) != count:
            raise UserError(
                f"explicit irreps: layer {g.layer} asks for {count}x{g.irrep}, but this family "
                f"needs the {widths[g.width]} channels that are asked for elsewhere"
            )
    highest = explicit.filter_lmax
    if highest is None:
        highest = max(g.l for g in channels if widths[g.width] > 0)
    for g in groups:
        if g.axis == "order":
            widths[g.width] = int(g.l <= highest)
    return plan_for_widths(groups, scores, widths)


def plan_for_widths(
    groups: Sequence[Group], scores: Mapping[str, np.ndarray], widths: Mapping[str, int]
) -> Plan:
    """Keep the channels with the highest scores at given widths (width key -> channels)."""
    keep = {}
    for g in groups:
        # Stable sort: equal scores keep the lower channel index, on every machine.
        ranked = np.argsort(-scores[g.name], kind="stable")
        keep[g.name] = tuple(sorted(ranked[: widths[g.width]].tolist()))
    return Plan(keep=keep, channels={g.name: g.channels for g in groups})


def summarize(plan: Plan, groups: Sequence[Group], cost_model: CostModel) -> dict[str, Any]:
    """Describe a plan for readers: irreps per layer, cost, and fractions kept."""
    widths = plan.widths(groups)
    full, cost = cost_model(widths_of(groups)), cost_model(widths)
    layers: dict[int, dict[str, int]] = {}
    for g in groups:
        if g.axis == "channel":
            layers.setdefault(g.layer, {})[g.irrep] = widths[g.width]
    kept_orders = [g.l for g in groups if g.axis == "order" and plan.keep[g.name]]
    return {
        "irreps": [
            "+".join(f"{count}x{irrep}" for irrep, count in layer.items() if count)
            for _, layer in sorted(layers.items())
        ],
        "filter_lmax": max(kept_orders, default=None),
        "parameters": cost.parameters,
        "flops_per_atom": cost.flops,
        "kept_blocks": plan.kept_blocks(),
        "fraction": {
            "blocks": plan.kept_blocks() / plan.total_blocks(),
            "parameters": cost.parameters / full.parameters,
            "flops": cost.flops / full.flops,
        },
    }


class _Measure:
    """What a budget counts, as a function of widths."""

    def __init__(self, groups: Sequence[Group], cost_model: CostModel, unit: Unit):
        self._members: dict[str, int] = {}
        for g in groups:
            self._members[g.width] = self._members.get(g.width, 0) + 1
        self._cost_model = cost_model
        self._unit = unit

    def __call__(self, widths: Mapping[str, int]) -> float:
        if self._unit == "blocks":
            return sum(count * self._members[key] for key, count in widths.items())
        cost: Cost = self._cost_model(widths)
        return cost.parameters if self._unit == "parameters" else cost.flops


class _Search:
    """Greedy removal of channels below a highest order.

    Groups of one width key lose their channels in step: the i-th removal takes the i-th
    lowest score of each of them.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        scores: Mapping[str, np.ndarray],
        measure: _Measure,
        limits: Limits,
        highest: int,
    ):
        self._measure, self._limits = measure, limits
        self.widths = widths_of(groups)
        self._floor: dict[str, int] = {}
        self._losses: dict[str, np.ndarray] = {}
        for g in groups:
            ascending = np.sort(scores[g.name])
            if g.width in self._losses:
                ascending = ascending + self._losses[g.width]
            self._losses[g.width] = ascending
            self._floor[g.width] = max(self._floor.get(g.width, 0), self._least(g))
        self._full = dict(self.widths)
        self.lost = 0.0
        for g in groups:
            if g.l > highest and self.widths[g.width]:
                self.lost += float(self._losses[g.width].sum())
                self.widths[g.width] = 0
        self._channels = sorted({g.width for g in groups if g.axis == "channel"})
        self.measured = measure(self.widths)

    def run(self, target: float) -> None:
        """Remove chunks, least loss per saving first, until the target is met or none is left."""
        while self.measured > target:
            moves = [move for key in self._channels if (move := self._move(key))]
            if not moves:
                return
            _, key, width, loss, measured = min(moves)
            self.widths[key], self.measured = width, measured
            self.lost += loss

    def _least(self, group: Group) -> int:
        """Least number of channels that a group may be narrowed to."""
        if group.l == 0 and group.axis == "channel":
            return min(group.channels, max(group.floor, self._limits.floor))
        if self._limits.axes == "channels":
            return min(group.channels, max(group.floor, self._limits.multiple))
        return group.floor

    def _move(self, key: str) -> tuple[float, str, int, float, float] | None:
        """The next removal at a width key: (loss per saving, key, width, loss, measure)."""
        width, floor = self.widths[key], self._floor[key]
        if width <= floor:
            return None
        multiple = self._limits.multiple
        following = max((width - 1) // multiple * multiple, floor)
        removed = self._full[key] - width
        loss = float(self._losses[key][removed : removed + width - following].sum())
        measured = self._measure({**self.widths, key: following})
        saving = max(self.measured - measured, 1e-12)
        return (loss / saving, key, following, loss, measured)


def _parse_irreps(text: str) -> dict[str, int]:
    """Read ``64x0e+32x1e`` as irrep -> channels."""
    result: dict[str, int] = {}
    for part in text.replace(" ", "").split("+"):
        count, separator, irrep = part.partition("x")
        if not (separator and count.isdigit() and irrep[:-1].isdigit() and irrep[-1:] in "eo"):
            raise UserError(f"explicit irreps: {part!r} in {text!r} is not like 64x0e")
        if irrep in result:
            raise UserError(f"explicit irreps: {irrep} stands twice in {text!r}")
        result[irrep] = int(count)
    return result
