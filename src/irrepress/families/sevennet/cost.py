"""What SevenNet networks of any widths cost, and what their time is made of.

Counted are floating-point operations of one energy evaluation per atom, a multiplication and an
addition as one each, in the order in which e3nn's generated code contracts. Spherical harmonics
and the radial basis, once per edge and below 1 % of the rest, are left out.
"""

from collections.abc import Iterator
from dataclasses import replace

from irrepress.core.cost import CostModel, CostTerms
from irrepress.core.irreps import dimension, order
from irrepress.core.model import Model, NativeModule
from irrepress.families.e3nn.cost import convolution_operations, convolution_terms
from irrepress.families.e3nn.groups import feature_group
from irrepress.families.e3nn.layout import feature_axes
from irrepress.families.generic.cost import (
    Amount,
    Channels,
    cost_model,
    counter,
    multiplications,
    parameters,
)
from irrepress.families.generic.layout import Layout, Weights
from irrepress.families.sevennet.architecture import MLP_READOUT, Architecture, read_architecture
from irrepress.families.sevennet.groups import make_groups
from irrepress.families.sevennet.layout import READOUT, gate_inputs, make_layout, messages

# Exponential, addition, division and multiplication of x * sigmoid(x), or those of tanh.
_ACTIVATION = 4


def make_cost_model(model: Model, neighbours: float) -> CostModel:
    """Return widths -> cost; see `irrepress.core.family.Family.cost_model`."""
    network, a = model.network, read_architecture(model.network)
    layout = make_layout(network)
    amounts = [
        *parameters(network, layout),
        *multiplications(_contracted(layout), _per, 2),
        *_others(network, a),
    ]
    convolutions = [convolution_operations(messages(network, a, t)) for t in range(a.layers)]

    def tied(channels: Channels) -> Channels:
        """A linear readout has half as many hidden channels as features have components."""
        last = (channels[feature_group(a.layers, ir)] * dimension(ir) for ir in a.features[-1])
        return {READOUT: sum(last) // 2}

    return cost_model(counter(make_groups(a), amounts, convolutions, tied), neighbours)


def make_cost_terms(model: Model) -> CostTerms:
    """Return widths -> terms; see `irrepress.core.family.Family.cost_terms`.

    The terms are, summed over layers and without constant factors, those of
    `irrepress.families.e3nn.cost.convolution_terms`, by orders, and

    - ``radial``: operations of the radial networks' last layers, per edge;
    - ``linear``: operations of linear maps, per atom.
    """
    network, a = model.network, read_architecture(model.network)
    layout = make_layout(network)
    amounts = [
        *multiplications((w for w in layout if w.multiplies is not None), lambda _: "radial"),
        *multiplications(layout, lambda name: "linear" if "_self_" in name else None),
    ]
    layers = range(a.layers)
    convolutions = [convolution_terms(messages(network, a, t), by_orders=True) for t in layers]
    return counter(make_groups(a), amounts, convolutions)


def _per(parameter: str) -> str:
    return "per edge" if ".weight_nn." in parameter else "per atom"


def _contracted(layout: Layout) -> Iterator[Weights]:
    """Yield the weights of maps as they are multiplied, which is with elements first."""
    for weights in layout:
        if weights.reads is not None and len(weights.axes) == 3:
            inputs, _, outputs = weights.axes
            yield replace(weights, components=1)
            yield replace(weights, axes=(inputs, outputs))
        else:
            yield weights


def _others(network: NativeModule, a: Architecture) -> Iterator[Amount]:
    """Yield the operations that are no multiplications of weights."""
    modules = network._modules
    for t in range(a.layers):
        hidden = modules[f"{t}_convolution"].weight_nn.hs[1:-1]
        yield Amount("per edge", factor=_ACTIVATION * sum(hidden))
        for path, part in messages(network, a, t).items():
            # Divided by the mean number of neighbours.
            yield Amount("per atom", ((part,),), dimension(path.target))
        for irrep, axis in gate_inputs(a, t + 1).items():
            yield Amount("per atom", (axis,), dimension(irrep))  # the self-connection is added
        for irrep, axis in feature_axes(a.features[t + 1], t + 1).items():
            gated = dimension(irrep) if order(irrep) else 0
            yield Amount("per atom", (axis,), _ACTIVATION + gated)
    if a.mlp_readout:
        yield Amount("per atom", factor=_ACTIVATION * sum(modules[MLP_READOUT].fcn.hs[1:-1]))
    yield Amount("per atom", factor=3)  # shift and scale
