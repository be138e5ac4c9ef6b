"""Analytic cost of SevenNet networks of any widths.

Counted are floating-point operations of one energy evaluation per atom, a multiplication and an
addition as one each, in the order in which e3nn's generated code contracts. Spherical harmonics
and the radial basis, once per edge and below 1 % of the rest, are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from irrepress.core.cost import Cost, CostModel
from irrepress.core.model import Model, NativeModule
from irrepress.families.e3nn.paths import products
from irrepress.families.e3nn.tensor_products import pair_operations
from irrepress.families.generic.layout import channel_counts, parameter_counter
from irrepress.families.sevennet.architecture import (
    EMBEDDING,
    HIDDEN,
    MLP_READOUT,
    ONE_HOT,
    gate_inputs,
    order,
    read_architecture,
)
from irrepress.families.sevennet.gates import filter_group, make_groups, width_key
from irrepress.families.sevennet.layout import READOUT, make_layout

# Exponential, addition, division and multiplication of x * sigmoid(x), or those of tanh.
_ACTIVATION = 4


@dataclass(frozen=True)
class _ProductCost:
    """Costs of the product of one irrep of features and one order of the filter, per edge.

    Attributes:
        targets: irreps of the messages, one path each.
        per_channel: operations per channel of the features.
        fixed: operations that do not depend on the channels.
    """

    targets: tuple[str, ...]
    per_channel: int
    fixed: int


@dataclass(frozen=True)
class _Product:
    """The product of one irrep of features and one order of the filter.

    Attributes:
        source: irrep of the features.
        filter_order: order of the filter.
        costs: its costs by the highest order of messages that the layer computes.
    """

    source: str
    filter_order: int
    costs: tuple[_ProductCost, ...]


@dataclass(frozen=True)
class _LayerCost:
    """What the cost of a layer needs besides the widths.

    Attributes:
        products: all products that any widths can have.
        hidden: sizes of the radial network without its output.
        modals_sent: one-hot inputs of self_interaction_1.
        modals_received: one-hot inputs of self_interaction_2.
        species: number of elements if the self-connection multiplies with them, else 0.
    """

    products: tuple[_Product, ...]
    hidden: tuple[int, ...]
    modals_sent: int
    modals_received: int
    species: int


def make_cost_model(model: Model, neighbours: float) -> CostModel:
    """Return widths -> cost; see `irrepress.core.family.Family.cost_model`."""
    architecture = read_architecture(model.network)
    modules = model.network._modules
    full = [
        {irrep: (width_key(t, irrep), channels) for irrep, channels in features.items()}
        for t, features in enumerate(architecture.features)
    ]
    orders = [(order(irrep), filter_group(irrep)) for irrep in architecture.filter]
    layers = []
    for t in range(architecture.layers):
        last = t == architecture.layers - 1
        entering, leaving = architecture.features[t : t + 2]
        layers.append(_layer(modules, t, entering, leaving, architecture.filter, last))
    elements = modules[ONE_HOT].num_classes
    embedding_inputs = elements + modules[EMBEDDING].num_modalities
    groups = make_groups(architecture)
    count = parameter_counter(model.network, make_layout(model.network))
    dimensions = {irrep: 2 * order(irrep) + 1 for f in architecture.features for irrep in f}

    def cost(widths: Mapping[str, int]) -> Cost:
        kept = [
            {irrep: widths.get(key, channels) for irrep, (key, channels) in features.items()}
            for features in full
        ]
        highest = max(degree for degree, key in orders if widths.get(key, 1))
        per_atom = 2.0 * embedding_inputs * kept[0]["0e"]
        per_edge = 0.0
        for t, layer in enumerate(layers):
            part = _layer_cost(layer, kept[t], kept[t + 1], highest, dimensions)
            per_atom += part[0]
            per_edge += part[1]
        # A linear readout has half as many hidden channels as there are features.
        size = sum(channels * dimensions[irrep] for irrep, channels in kept[-1].items())
        per_atom += _readout_cost(modules, kept[-1]["0e"], size)
        counts = {**channel_counts(groups, widths), READOUT: size // 2}
        return Cost(parameters=count(counts), flops=per_atom + neighbours * per_edge)

    return cost


def _layer(
    modules: Mapping[str, NativeModule],
    t: int,
    entering: Mapping[str, int],
    leaving: Mapping[str, int],
    filters: tuple[str, ...],
    last: bool,
) -> _LayerCost:
    limits = range(1 + max(map(order, leaving)))
    pairs = tuple(
        _Product(
            source=source,
            filter_order=order(filter_),
            costs=tuple(_product_cost(source, filter_, limit, last) for limit in limits),
        )
        for source in entering
        for filter_ in filters
    )
    convolution = modules[f"{t}_convolution"]
    self_connection = modules[f"{t}_self_connection_intro"]
    by_element = hasattr(self_connection, "fc_tensor_product")
    return _LayerCost(
        products=pairs,
        hidden=tuple(convolution.weight_nn.hs[:-1]),
        modals_sent=modules[f"{t}_self_interaction_1"].num_modalities,
        modals_received=modules[f"{t}_self_interaction_2"].num_modalities,
        species=modules[ONE_HOT].num_classes if by_element else 0,
    )


def _product_cost(source: str, filter_: str, limit: int, last: bool) -> _ProductCost:
    """Cost of the paths of one pair of irreps."""
    # The last layer computes messages of even parity only.
    targets = tuple(
        target
        for target in products(source, filter_)
        if order(target) <= limit and not (last and target.endswith("o"))
    )
    per_channel, fixed = pair_operations(
        order(source), order(filter_), [order(target) for target in targets]
    )
    return _ProductCost(targets, per_channel, fixed)


def _layer_cost(
    layer: _LayerCost,
    entering: Mapping[str, int],
    leaving: Mapping[str, int],
    highest: int,
    dimensions: Mapping[str, int],
) -> tuple[float, float]:
    """Return operations per atom, and operations per edge of a layer."""
    # sevenn computes messages of all orders up to the highest that leaves the layer.
    limit = max(dimensions[irrep] for irrep, channels in leaving.items() if channels) // 2
    per_edge = 0.0
    weights = 0
    messages: dict[str, int] = {}
    for product in layer.products:
        channels = entering[product.source]
        if channels and product.filter_order <= highest:
            part = product.costs[limit]
            weights += channels * len(part.targets)
            per_edge += channels * part.per_channel + part.fixed
            for target in part.targets:
                messages[target] = messages.get(target, 0) + channels
    sizes = (*layer.hidden, weights)
    for inputs, outputs in pairwise(sizes):
        per_edge += 2 * inputs * outputs
    per_edge += _ACTIVATION * sum(layer.hidden[1:])

    gate = gate_inputs(leaving)
    linear = per_atom = 0.0
    for irrep, outputs in gate.items():
        dimension = dimensions[irrep]
        inputs = entering.get(irrep, 0)
        linear += inputs * outputs * dimension
        if layer.species:
            per_atom += 2 * inputs * outputs * layer.species
        received = messages.get(irrep, 0) + (layer.modals_received if irrep == "0e" else 0)
        linear += received * outputs * dimension
        per_atom += outputs * dimension  # self-connection added
    for irrep, channels in entering.items():
        inputs = channels + (layer.modals_sent if irrep == "0e" else 0)
        linear += inputs * channels * dimensions[irrep]
    per_atom += 2 * linear
    for irrep, channels in messages.items():
        per_atom += channels * (2 * int(irrep[:-1]) + 1)  # divided by the mean number of neighbours
    for irrep, channels in leaving.items():
        gated = dimensions[irrep] > 1
        per_atom += channels * (_ACTIVATION + (dimensions[irrep] if gated else 0))
    return per_atom, per_edge


def _readout_cost(modules: Mapping[str, NativeModule], scalars: int, size: int) -> float:
    """Return operations per atom of the readout and the energy's rescaling."""
    if MLP_READOUT in modules:
        sizes = (size, *modules[MLP_READOUT].fcn.hs[1:])
        weights = sum(a * b for a, b in pairwise(sizes))
        return 2.0 * weights + _ACTIVATION * sum(sizes[1:-1]) + 3
    return 2.0 * (scalars + modules[HIDDEN].num_modalities + 1) * (size // 2) + 3
