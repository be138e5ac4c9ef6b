"""Analytic cost of MACE networks of any widths.

Counted are floating-point operations of one energy evaluation per atom, a multiplication and an
addition as one each, in the order in which the code that e3nn and mace generate contracts.
Spherical harmonics, radial bases and pair repulsion, once per edge and below 1 % of the rest,
are left out.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise

from irrepress.core.cost import Cost, CostModel
from irrepress.core.model import Model
from irrepress.families.e3nn.tensor_products import pair_operations
from irrepress.families.generic.layout import channel_counts, parameter_counter
from irrepress.families.mace.architecture import Architecture, dim, order
from irrepress.families.mace.groups import make_groups
from irrepress.families.mace.layout import make_layout
from irrepress.families.mace.sizes import LayerSizes, SizeModel, Sizes

# Exponential, addition, division and multiplication of x * sigmoid(x).
_ACTIVATION = 4
# For so many atoms mace chooses the cheapest order of contractions.
_ATOMS = 10
# Of the density network of non-linear layers, which mace fixes.
_DENSITY_WIDTH = 64


def make_cost_model(model: Model, neighbours: float) -> CostModel:
    """Return widths -> cost; see `irrepress.core.family.Family.cost_model`."""
    network = model.network
    sizes_of = SizeModel(network)
    elements = len(model.native["atomic_numbers"])
    shared = model.native["use_agnostic_product"]
    groups = make_groups(sizes_of.architecture)
    count = parameter_counter(network, make_layout(network))
    counter = _Counter(
        architecture=sizes_of.architecture,
        elements=elements,
        product_elements=1 if shared else elements,
        basis=network.radial_embedding.out_dim,
        linear_readouts=len(network.readouts) - (sizes_of.architecture.readout > 0),
    )

    def cost(widths: Mapping[str, int]) -> Cost:
        parts = counter.parts(sizes_of(widths))
        per_atom, per_edge = map(sum, zip(*parts, strict=True))
        parameters = count(channel_counts(groups, widths))
        return Cost(parameters=parameters, flops=per_atom + neighbours * per_edge)

    return cost


# operations per atom, operations per edge
_Part = tuple[float, float]


class _Counter:
    def __init__(
        self,
        architecture: Architecture,
        elements: int,
        product_elements: int,
        basis: int,
        linear_readouts: int,
    ):
        self._architecture = architecture
        self._elements, self._product_elements = elements, product_elements
        self._basis, self._linear_readouts = basis, linear_readouts

    def parts(self, sizes: Sizes) -> Iterator[_Part]:
        """Yield the cost of every module."""
        yield self._by_element({"0e": 1}, {"0e": sizes.hidden})
        for layer in sizes.layers:
            yield from self._layer(layer, sizes)
        yield from self._readouts(sizes)

    def _layer(self, layer: LayerSizes, sizes: Sizes) -> Iterator[_Part]:
        yield _linear(layer.entering, layer.edges)
        yield 0, convolution(layer)
        channels = dict.fromkeys(layer.basis, sizes.hidden)
        inputs = self._basis
        if layer.kind == "nonlinear":
            inputs += 2 * sizes.hidden
            for _ in range(2):
                yield self._by_element({"0e": 1}, {"0e": sizes.hidden})
            gates = {**channels, "0e": sizes.hidden * len(layer.basis)}
            yield _linear(layer.entering, layer.leaving)
            yield _linear(layer.edges, gates)
            yield _linear(layer.rows, gates)
            yield _linear(channels, channels)
            yield (_ACTIVATION + sum(map(dim, layer.basis))) * sizes.hidden, 0
            yield _normalized_network((inputs, *sizes.radial, layer.weights))
            yield _normalized_network((inputs, _DENSITY_WIDTH, 1))
        else:
            yield _linear(layer.rows, channels)
            if layer.kind == "selecting":
                yield self._by_element(channels, channels)
            else:
                yield self._by_element(layer.entering, layer.leaving)
            yield _network((inputs, *sizes.radial, layer.weights))
            if layer.density:
                yield _network((inputs, 1))
        yield coupled_products(layer, sizes.hidden, self._product_elements), 0
        yield _linear(dict.fromkeys(layer.leaving, sizes.hidden), layer.leaving)

    def _by_element(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> _Part:
        """Cost of a map for each element, which multiplies with all elements."""
        per_atom, _ = _linear(inputs, outputs)
        return self._elements * per_atom, 0

    def _readouts(self, sizes: Sizes) -> Iterator[_Part]:
        heads = self._architecture.heads
        leaving = [layer.leaving["0e"] for layer in sizes.layers]
        offset = len(leaving) - self._linear_readouts - (self._architecture.readout > 0)
        for scalars in leaving[offset : offset + self._linear_readouts]:
            yield _linear({"0e": scalars}, {"0e": heads})
        if self._architecture.readout:
            width = {"0e": sizes.readout * heads}
            yield _linear({"0e": leaving[-1]}, width)
            yield _ACTIVATION * width["0e"], 0
            if self._architecture.readout_layers == 2:
                yield _linear(width, width)
                yield (_ACTIVATION + 1) * width["0e"] + heads, 0
            yield _linear(width, {"0e": heads})


def coupled_products(layer: LayerSizes, channels: int, elements: int) -> float:
    """Operations per atom of the products of a layer's atomic basis with itself.

    Args:
        layer: the layer.
        channels: of the basis.
        elements: that weights are indexed by.
    """
    operations = 0.0
    size = sum(map(dim, layer.basis))
    for irrep, paths in layer.orders.items():
        for index, count in enumerate(paths):
            outputs = dim(irrep) * size**index
            if index == len(paths) - 1:
                operations += _highest(elements, count, channels, size, outputs)
            else:
                outputs *= size
                operations += _lower(elements, count, channels, outputs)
                operations += 3 * channels * outputs  # the sum of orders, times the basis
    return operations


def _highest(elements: int, paths: int, channels: int, size: int, outputs: int) -> float:
    """Operations of the highest order: weights, couplings and basis."""
    return _cheaper(
        2 * elements * paths * channels
        + paths * channels * size
        + 2 * paths * channels * size * outputs,
        elements * channels * size * (1 + 2 * outputs),
        2 * elements * paths * channels * size * outputs,
    )


def _lower(elements: int, paths: int, channels: int, outputs: int) -> float:
    """Operations of a lower order: weights and couplings."""
    return _cheaper(
        2 * elements * paths * channels + 2 * paths * channels * outputs,
        2 * elements * channels * outputs,
        2 * elements * paths * channels * outputs,
    )


def _cheaper(by_atom: float, by_element: float, once: float) -> float:
    """Return the operations per atom of the order of contractions that mace's code takes.

    Args:
        by_atom: if the weights of an atom's element are chosen before they meet the couplings.
        by_element: if weights of all elements meet the couplings first: better for few elements.
        once: what that costs whatever the number of atoms.
    """
    return by_atom if _ATOMS * by_atom <= _ATOMS * by_element + once else by_element


def convolution(layer: LayerSizes) -> float:
    """Operations per edge of a layer's tensor product and of the sum over neighbours."""
    targets: dict[tuple[str, str], list[int]] = {}
    for source, f, target in layer.paths:
        targets.setdefault((source, f), []).append(order(target))
    operations = 0.0
    for (source, f), orders in targets.items():
        per_channel, fixed = pair_operations(order(source), order(f), orders)
        operations += layer.edges[source] * per_channel + fixed
    return operations


def _linear(inputs: Mapping[str, int], outputs: Mapping[str, int]) -> _Part:
    weights = (inputs.get(irrep, 0) * columns * dim(irrep) for irrep, columns in outputs.items())
    return 2 * sum(weights), 0


def _network(sizes: tuple[int, ...]) -> _Part:
    weights = sum(a * b for a, b in pairwise(sizes))
    return 0, 2 * weights + _ACTIVATION * sum(sizes[1:-1])


def _normalized_network(sizes: tuple[int, ...]) -> _Part:
    """Cost of a network with biases and normalised hidden layers."""
    _, operations = _network(sizes)
    return 0, operations + sum(sizes[1:]) + 7 * sum(sizes[1:-1])
