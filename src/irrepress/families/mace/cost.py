"""What MACE networks of any widths cost, and what their time is made of.

Counted are floating-point operations of one energy evaluation per atom, a multiplication and an
addition as one each, in the order in which the code that e3nn and mace generate contracts.
Spherical harmonics, radial bases and pair repulsion, once per edge and below 1 % of the rest,
are left out.
"""

from collections.abc import Callable, Iterator

from irrepress.core.cost import CostModel, CostTerms
from irrepress.core.irreps import dimension
from irrepress.core.model import Model, NativeModule
from irrepress.families.e3nn.cost import convolution_operations, convolution_terms
from irrepress.families.e3nn.groups import filter_group
from irrepress.families.e3nn.layout import feature_axes
from irrepress.families.generic.cost import (
    Amount,
    Channels,
    Totals,
    cost_model,
    counter,
    multiplications,
    parameters,
)
from irrepress.families.generic.layout import Layout, Part, axis_size
from irrepress.families.mace.architecture import Architecture, read_architecture
from irrepress.families.mace.groups import make_groups
from irrepress.families.mace.layout import (
    all_orders,
    make_layout,
    map_layout,
    messages,
    products,
    readout_axis,
)

# Exponential, addition, division and multiplication of x * sigmoid(x).
_ACTIVATION = 4
# Of a normalised hidden channel of a scalar network: its bias, seven for the normalisation.
_NORMALIZED = 8 + _ACTIVATION
# For so many atoms mace chooses the cheapest order of contractions.
_ATOMS = 10
# Of the density network of non-linear layers, which mace fixes.
_DENSITY_WIDTH = 64


def make_cost_model(model: Model, neighbours: float) -> CostModel:
    """Return widths -> cost; see `irrepress.core.family.Family.cost_model`."""
    network, a = model.network, read_architecture(model.network)
    amounts = [
        *parameters(network, make_layout(network)),
        *multiplications(map_layout(network), _per, 2),
        *_others(network, a),
    ]
    layers = range(len(a.layers))
    further = [
        *(convolution_operations(messages(network, t)) for t in layers),
        *(product_operations(a, weights) for t in layers for weights in products(network, t)),
    ]
    return cost_model(counter(make_groups(a), amounts, further), neighbours)


def make_cost_terms(model: Model) -> CostTerms:
    """Return widths -> terms; see `irrepress.core.family.Family.cost_terms`.

    The terms are, summed over layers and without constant factors, those of
    `irrepress.families.e3nn.cost.convolution_terms`, and

    - ``radial``: operations of the radial networks' last layers, per edge;
    - ``linear``: operations of linear maps, per atom;
    - ``couplings``: operations of products of the atomic basis with itself, per atom.
    """
    network, a = model.network, read_architecture(model.network)
    layout = map_layout(network)
    amounts = [
        *multiplications((w for w in layout if w.multiplies is not None), lambda _: "radial"),
        *multiplications(layout, _linear),
    ]
    further: list[Callable[[Channels], Totals]] = []
    for t in range(len(a.layers)):
        entering, leaving = (feature_axes(a.features[i], i) for i in (t, t + 1))
        for irrep in entering.keys() & leaving.keys():
            # Features that pass the layer, in some layers by a map for each element.
            axes = entering[irrep], leaving[irrep]
            amounts.append(Amount("linear", axes, dimension(irrep)))
        further.append(convolution_terms(messages(network, t), by_orders=False))
        further += [_couplings(a, weights) for weights in products(network, t)]
    return counter(make_groups(a), amounts, further)


def _per(parameter: str) -> str:
    radial = ".conv_tp_weights." in parameter or ".density_fn." in parameter
    return "per edge" if radial else "per atom"


def _linear(parameter: str) -> str | None:
    inner = parameter.startswith(("interactions.", "products."))
    return "linear" if inner and ".linear" in parameter else None


def _others(network: NativeModule, a: Architecture) -> Iterator[Amount]:
    """Yield the operations that are no multiplications of weights."""
    for t, layer in enumerate(a.layers):
        normalized = layer.kind == "nonlinear"
        for i, width in enumerate(a.radial):
            hidden = (Part(width, f"radial.{t}.{i}"),)
            yield Amount("per edge", (hidden,), _NORMALIZED if normalized else _ACTIVATION)
        if not normalized:
            continue
        yield Amount("per edge", (tuple(messages(network, t).values()),))  # biases
        yield Amount("per edge", factor=_NORMALIZED * _DENSITY_WIDTH + 1)
        yield Amount("per atom", ((Part(a.channels, f"gated.{t}"),),), _ACTIVATION)
        for irrep, axis in all_orders(a, f"gated.{t}").items():
            yield Amount("per atom", (axis,), dimension(irrep))
    for k in range(a.readout_layers):
        # mace adds biases to all but the first layer.
        yield Amount("per atom", (readout_axis(a, k),), _ACTIVATION + (k > 0))
        yield Amount("per atom", factor=a.heads if k > 0 else 0)


def product_operations(a: Architecture, layout: Layout) -> Callable[[Channels], Totals]:
    """Return the function from channels by group to operations per atom of a product.

    Args:
        a: the architecture.
        layout: weights of the products of the atomic basis that have one irrep, by order.
    """

    def operations(channels: Channels) -> Totals:
        total = 0.0
        size = _components(a, channels)
        sizes = [[axis_size(axis, channels) for axis in weights.axes] for weights in layout]
        kept = [each for each in sizes if all(each)]
        for index, (elements, paths, count) in enumerate(kept):
            outputs = layout[0].components * size**index
            if index == len(kept) - 1:
                total += _highest(elements, paths, count, size, outputs)
            else:
                outputs *= size
                total += _lower(elements, paths, count, outputs)
                total += 3 * count * outputs  # the sum of orders, times the basis
        return {"per atom": total}

    return operations


def _couplings(a: Architecture, layout: Layout) -> Callable[[Channels], Totals]:
    def terms(channels: Channels) -> Totals:
        size, total = _components(a, channels), 0
        for index, weights in enumerate(layout):
            _, paths, count = (axis_size(axis, channels) for axis in weights.axes)
            total += paths * count * weights.components * size ** (index + 1)
        return {"couplings": total}

    return terms


def _components(a: Architecture, channels: Channels) -> int:
    """Return the number of components of one channel of the atomic basis."""
    return sum(dimension(irrep) for irrep in a.basis if channels[filter_group(irrep)])


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
