"""Plans from scores and a budget, or from a target shape.

`irrepress.pruning.allocation` decides how the budget is spread over layers and orders.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from irrepress.core.cost import NEIGHBOURS, CostModel
from irrepress.core.errors import UserError, nearest
from irrepress.core.groups import FEATURES, Group, widths_of
from irrepress.core.irreps import order, parse_irreps, write_irreps
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.core.target import Explicit
from irrepress.pruning.allocation import Allocated, Limits, allocate_evenly, allocate_greedily
from irrepress.pruning.config import Unit
from irrepress.pruning.latency import TimeModel

# Maps widths to the predicted time of one call in seconds; for example a `TimeModel`.
TimeOf = Callable[[Mapping[str, int]], float]


class OutOfReach(UserError):
    """A budget that cannot be met.

    Attributes:
        unit: what it is counted in.
        least: the least fraction that can be reached.

    Example:
        >>> OutOfReach("budget: 0.01 of the time cannot be met", "time", 0.08).least
        0.08
    """

    def __init__(self, message: str, unit: Unit, least: float):
        super().__init__(message)
        self.unit = unit
        self.least = least


@dataclass(frozen=True)
class Costs:
    """Costs of models as functions of their widths, with a fixed cutoff and number of layers.

    Attributes:
        model: function from widths to parameters and FLOPs.
        time: function from widths to the time of a call in seconds; None if times are not known.

    Example:
        >>> costs = Costs.of(model)
        >>> costs.model(widths_of(model.groups())).parameters
        842623
    """

    model: CostModel
    time: TimeOf | None = None

    @classmethod
    def of(
        cls,
        model: Model,
        time: TimeModel | None = None,
        cutoff: float | None = None,
        layers: Sequence[int] | None = None,
    ) -> "Costs":
        """Return the costs of the models that ``model`` can be pruned to.

        Args:
            model: the unpruned model.
            time: time model fitted to shapes of the unpruned model at its own cutoff.
            cutoff: a shorter cutoff in Å; None: the model's own. The number of neighbours is
                assumed to scale with its cube, as in a solid; molecules lose fewer.
            layers: the layers to keep; None: all. Widths are then those of the model with these
                layers alone, whose time is made of the same terms.
        """
        fraction = 1.0 if cutoff is None else (cutoff / model.cutoff) ** 3
        model = model.with_layers(layers)
        if time is not None:
            if layers is not None:
                time = TimeModel(model.cost_terms(), time.seconds)
            time = time.with_neighbours(fraction, model.family.terms_without_neighbours)
        return cls(model.cost_model(fraction * NEIGHBOURS), time)


class Measure:
    """The quantity that a budget limits, as a function of widths.

    Args:
        groups: the groups of the unpruned model.
        costs: costs of models of given widths.
        unit: blocks, parameters, FLOPs or time; time needs costs with a time model.
        whole: the amount for the unpruned model; None: that for full widths.

    Example:
        >>> groups = model.groups()
        >>> measure = Measure(groups, Costs.of(model), "blocks")
        >>> measure(widths_of(groups)), measure.target(0.5)
        (2179, 1089.5)
    """

    def __init__(
        self, groups: Sequence[Group], costs: Costs, unit: Unit, whole: float | None = None
    ):
        if unit == "time" and costs.time is None:
            raise ValueError("the unit 'time' needs a time model")
        self.unit = unit
        self._members: dict[str, int] = {}
        for g in groups:
            self._members[g.width] = self._members.get(g.width, 0) + 1
        self._costs = costs
        self.whole = self(widths_of(groups)) if whole is None else whole

    def __call__(self, widths: Mapping[str, int]) -> float:
        """Return the amount for a model with the given widths (width key -> channels, all keys)."""
        if self.unit == "time" and self._costs.time is not None:
            return self._costs.time(widths)
        if self.unit == "blocks":
            return sum(count * self._members[key] for key, count in widths.items())
        cost = self._costs.model(widths)
        return cost.parameters if self.unit == "parameters" else cost.flops

    def target(self, budget: float) -> float:
        """Return the amount that a budget allows.

        Raises:
            UserError: if the budget does not lie between 0 and 1.
        """
        if not 0 < budget < 1:
            raise UserError(f"budget: must lie between 0 and 1, it is {budget}")
        return budget * self.whole


def plan_for_fraction(
    groups: Sequence[Group],
    scores: Mapping[str, np.ndarray],
    measure: Measure,
    *,
    budget: float,
    allocation: Literal["greedy", "uniform"] = "greedy",
    limits: Limits | None = None,
) -> Plan:
    """Return a plan that keeps a fraction of the blocks, parameters, FLOPs or time.

    Args:
        groups: the model's groups.
        scores: group name -> scores, ``[channels]``.
        measure: the quantity that the budget limits.
        budget: fraction to keep, 0 < budget < 1.
        allocation: how the budget is spread over layers and orders.
        limits: rounding, floors and axes.

    Returns:
        A plan that meets the budget and keeps the channels with the highest scores.

    Raises:
        UserError: if the budget cannot be met; the message gives the smallest one that can.
    """
    limits = limits or Limits()
    target = measure.target(budget)
    if allocation == "uniform":
        found = allocate_evenly(groups, measure, target, limits)
    else:
        found = allocate_greedily(groups, scores, measure, target, limits)
    check_met(found, measure, budget, limits, keeps_orders=allocation == "uniform")
    return plan_for_widths(groups, scores, found.widths)


def check_met(
    found: Allocated,
    measure: Measure,
    budget: float,
    limits: Limits,
    *,
    keeps_orders: bool = False,
) -> None:
    """Check that an allocation meets its budget.

    Raises:
        OutOfReach: if it does not; the message gives the smallest budget that can be met.
    """
    if found.measured > measure.target(budget):
        orders = "every order kept" if keeps_orders else f"axes {limits.axes!r}"
        mends = ["raise the budget", "lower sweep.multiple or sweep.floor"]
        if measure.unit != "blocks":
            mends.append("drop layers (sweep.layers)")
        if measure.unit in ("flops", "time"):
            mends.append("shorten the cutoff (sweep.cutoffs)")
        if measure.unit == "time":
            # Every call has a fixed overhead, which matters most for few atoms.
            mends.append("set evaluation.timing_atoms higher")
        mends[-1] = f"or {mends[-1]}"
        least = found.measured / measure.whole
        faster = f" ({1 / least:.2g} times as fast)" if measure.unit == "time" else ""
        raise OutOfReach(
            f"budget: {budget:g} of the {measure.unit} cannot be met with multiple "
            f"{limits.multiple}, floor {limits.floor} and {orders}; the smallest possible is "
            f"{least:.3f}{faster}; {', '.join(mends)}",
            measure.unit,
            least,
        )


def named_target(explicit: Explicit, shapes: Mapping[str, Explicit]) -> Explicit:
    """Return a target in which the name of a shape is replaced by the shape's irreps.

    Args:
        explicit: the target from the config; its other entries override those of the shape.
        shapes: the family's named shapes.

    Raises:
        UserError: if the family has no shape of this name.
    """
    if not explicit.names_shape:
        return explicit
    name = str(explicit.irreps)
    if name not in shapes:
        known = nearest(name, shapes) if shapes else "this family names none"
        raise UserError(f"explicit irreps: {name!r} is neither irreps nor a shape; {known}")
    own = explicit.model_dump(exclude={"irreps"}, exclude_defaults=True)
    return shapes[name].model_copy(update=own)


def plan_for_irreps(
    groups: Sequence[Group], scores: Mapping[str, np.ndarray], explicit: Explicit
) -> Plan:
    """Return a plan for a target shape; anything it does not name stays as in the unpruned model.

    Args:
        groups: the model's groups.
        scores: group name -> scores, ``[channels]``; the best channels are kept.
        explicit: irreps such as ``64x0e+32x1e`` for all layers or a list with one entry per layer,
            the highest order of the filter, and further widths. Irreps given for all layers are
            ignored in layers that lack them.

    Returns:
        The plan, without a cutoff. The family may round it (`Model.native_plan`).

    Raises:
        UserError: if irreps cannot be parsed, the number of channels is too large or too small, the
            number of layers is wrong, the filter lacks an order, or a width is unknown.
    """
    asked = {} if explicit.irreps is None else _asked_of_features(groups, explicit.irreps)
    asked |= _asked_of_orders(groups, asked, explicit.filter_lmax)
    full = widths_of(groups)
    for key, count in explicit.widths.items():
        if key not in full:
            raise UserError(f"explicit widths: the model has no {key!r}; {nearest(key, full)}")
        if asked.get(key, count) != count:
            raise UserError(
                f"explicit widths: {count} for {key!r}, but irreps or filter_lmax give "
                f"{asked[key]}; give it only once"
            )
        for g in (g for g in groups if g.width == key):
            if not g.floor <= count <= g.channels or count % g.multiple:
                raise UserError(
                    f"explicit widths: {count} for {key!r} is outside {g.floor}-{g.channels} or "
                    f"not a multiple of {g.multiple}"
                )
        asked[key] = count
    # Widths that the architecture ties to another width, or that were built equal to it, follow it.
    for base in ("follows", "sized_like"):
        for g in groups:
            other = getattr(g, base)
            if other in asked and g.width not in asked:
                asked[g.width] = asked[other]
    plan = plan_for_widths(groups, scores, full | asked)
    plan.check(groups, "explicit")
    return plan


def _asked_of_features(groups: Sequence[Group], irreps: str | list[str]) -> dict[str, int]:
    """Return the widths given by irreps: width keys of node features -> channels."""
    features = [g for g in groups if g.site == FEATURES]
    layers = sorted({g.layer for g in features})
    single = isinstance(irreps, str)
    texts = [irreps] * len(layers) if isinstance(irreps, str) else irreps
    if len(layers) == 1 and len(set(texts)) == 1:  # one choice serves all layers
        texts = texts[:1]
    if len(texts) != len(layers):
        raise UserError(
            f"explicit irreps: {len(texts)} are given, but the model has {len(layers)} layers of "
            "node features; give one for all layers, or one per layer"
        )
    wanted = {layer: parse_irreps(text) for layer, text in zip(layers, texts, strict=True)}
    for layer in layers:
        known = {irrep for g in features if g.layer == layer for irrep in g.irreps}
        everywhere = {irrep for g in features for irrep in g.irreps}
        for irrep in wanted[layer]:
            if irrep not in (everywhere if single else known):
                raise UserError(
                    f"explicit irreps: layer {layer} has no {irrep}; "
                    f"it has {', '.join(sorted(known))}"
                )
    widths: dict[str, int] = {}
    for g in features:
        count, *others = (wanted[g.layer].get(irrep, 0) for irrep in g.irreps)
        if set(others) - {count, 0}:
            raise UserError(
                f"explicit irreps: layer {g.layer} has different numbers of channels, but this "
                f"family needs {count} of every order or none"
            )
        if not g.floor <= count <= g.channels or count % g.multiple:
            raise UserError(
                f"explicit irreps: {count}x{g.irrep} in layer {g.layer} is outside "
                f"{g.floor}-{g.channels} or not a multiple of {g.multiple}"
            )
        if widths.setdefault(g.width, count) != count:
            raise UserError(
                f"explicit irreps: layer {g.layer} has {count}x{g.irrep}, but this family needs "
                f"the same {widths[g.width]} channels as elsewhere"
            )
        if len(g.irreps) > 1:  # all orders share one width, and each is cut as a whole
            orders = [order(irrep) for irrep, n in wanted[g.layer].items() if n]
            if orders != list(range(len(orders))):
                raise UserError(
                    f"explicit irreps: layer {g.layer} has the orders {orders}, but this family "
                    "can only cut orders from the top; give all orders from 0"
                )
            for other in (o for o in groups if o.axis in ("order", "component")):
                widths[other.width] = int(other.l < len(orders))
    for g in features:
        if g.follows and widths[g.width] not in (0, widths[g.follows]):
            raise UserError(
                f"explicit irreps: {widths[g.width]}x{g.irrep} in layer {g.layer}, but this family "
                f"needs the same {widths[g.follows]} channels as elsewhere, or none"
            )
    return widths


def _asked_of_orders(
    groups: Sequence[Group], asked: Mapping[str, int], highest: int | None
) -> dict[str, int]:
    """Return the widths given by the filter's highest order: width keys of orders -> 0 or 1.

    Args:
        groups: the model's groups.
        asked: widths that irreps give already.
        highest: the highest order; None: the filter is not changed.
    """
    if highest is None:
        return {}
    orders = [g for g in groups if g.axis == "order"]
    least = max((g.l for g in orders if g.floor), default=0)
    most = max((g.l for g in orders), default=0)
    if not least <= highest <= most:
        raise UserError(
            f"explicit filter_lmax: {highest} is outside the model's range, {least} to {most}"
        )
    widths = {g.width: int(g.l <= highest) for g in orders}
    widths |= {g.width: 0 for g in groups if g.axis == "component" and g.l > highest}
    for key, count in widths.items():
        if asked.get(key, count) != count:
            raise UserError(
                f"explicit filter_lmax: {highest} differs from the orders of irreps, which this "
                "family uses for the filter as well; leave filter_lmax out"
            )
    return widths


def plan_for_widths(
    groups: Sequence[Group], scores: Mapping[str, np.ndarray], widths: Mapping[str, int]
) -> Plan:
    """Return a plan that keeps the channels with the highest scores."""
    keep = {}
    for g in groups:
        # A stable sort, so that ties go to the lower channel index on every machine.
        ranked = np.arange(g.channels) if g.in_order else np.argsort(-scores[g.name], kind="stable")
        keep[g.name] = tuple(sorted(ranked[: widths[g.width]].tolist()))
    return Plan(keep=keep, channels={g.name: g.channels for g in groups})


def summarize(
    plan: Plan,
    groups: Sequence[Group],
    costs: Costs,
    unpruned: Costs | None = None,
    unpruned_groups: Sequence[Group] | None = None,
) -> dict[str, Any]:
    """Summarize a plan for readers: irreps per layer, cutoff, cost, and fractions kept.

    Args:
        plan: the plan.
        groups: groups of the unpruned model, with the plan's layers.
        costs: costs with the plan's cutoff and layers.
        unpruned: costs with the unpruned model's cutoff and layers, if those differ.
        unpruned_groups: groups of the unpruned model, if its layers differ.
    """
    unpruned = unpruned or costs
    whole = widths_of(unpruned_groups or groups)
    blocks = sum(group.channels for group in unpruned_groups or groups)
    widths = plan.widths(groups)
    kept_orders = [g.l for g in groups if g.axis == "order" and plan.keep[g.name]]
    full, cost = unpruned.model(whole), costs.model(widths)
    # Features that all layers share belong to the first layer.
    layers: dict[int, dict[str, int]] = {g.layer: {} for g in groups if g.axis == "channel"}
    features = [g for g in groups if g.site == FEATURES]
    for layer, irreps in layers.items():
        own = [g for g in features if g.layer == layer] or features
        for g in own:
            for irrep in g.irreps:
                # If a block holds several irreps, an order is cut at all sites at once.
                cut = len(g.irreps) > 1 and order(irrep) > max(kept_orders)
                irreps[irrep] = 0 if cut else widths[g.width]
    predicted, fraction = {}, {}
    if costs.time is not None and unpruned.time is not None:
        predicted["predicted_seconds"] = costs.time(widths)
        fraction["time"] = costs.time(widths) / unpruned.time(whole)
    return {
        "irreps": [write_irreps(layer) for _, layer in sorted(layers.items())],
        "filter_lmax": max(kept_orders, default=None),
        **({} if plan.layers is None else {"layers": list(plan.layers)}),
        **({} if plan.cutoff is None else {"cutoff": plan.cutoff}),
        "parameters": cost.parameters,
        "flops_per_atom": cost.flops,
        **predicted,
        "kept_blocks": plan.kept_blocks(),
        "fraction": {
            "blocks": plan.kept_blocks() / blocks,
            "parameters": cost.parameters / full.parameters,
            "flops": cost.flops / full.flops,
            **fraction,
        },
    }
