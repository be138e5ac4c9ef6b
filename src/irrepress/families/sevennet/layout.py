"""Where the channels of every group lie in the parameters of a SevenNet network."""

from dataclasses import replace
from itertools import chain

from sevenn.nn.scale import Rescale

from irrepress.core.irreps import order
from irrepress.core.model import NativeModule
from irrepress.families.e3nn.groups import feature_group, message_group
from irrepress.families.e3nn.layout import (
    Messages,
    feature_axes,
    fully_connected,
    linear,
    message_parts,
    received,
)
from irrepress.families.e3nn.paths import Path, read_paths
from irrepress.families.generic.layout import ELEMENTS, Axis, Layout, Part, Weights, free
from irrepress.families.sevennet.architecture import (
    EDGES,
    EMBEDDING,
    ENERGY,
    HIDDEN,
    MLP_READOUT,
    ONE_HOT,
    RESCALE,
    Architecture,
    gate_irrep,
    read_architecture,
)

# Stands for a group in the hidden layer of a linear readout: sevenn ties its size to the features'.
READOUT = "readout"
# What parameters do, by texts in their names.
ROLES = (
    (f"{EDGES}.", "radial"),
    (".weight_nn.", "radial"),
    (f"{EMBEDDING}.", "embedding"),
    (f"{HIDDEN}.", "readout"),
    (f"{ENERGY}.", "readout"),
    (f"{MLP_READOUT}.", "readout"),
    (f"{RESCALE}.", "readout"),
)


def make_layout(network: NativeModule) -> Layout:
    """Return the weights of a network in the order of its modules."""
    a, modules = read_architecture(network), network._modules
    elements = (Part(modules[ONE_HOT].num_classes, ELEMENTS),)
    first, last = (feature_axes(a.features[t], t) for t in (0, a.layers))
    layout = [*linear(f"{EMBEDDING}.linear", modules[EMBEDDING].linear, {"0e": elements}, first)]
    for t in range(a.layers):
        layout += _layer(network, a, t, elements)
    if a.mlp_readout:
        fcn = modules[MLP_READOUT].fcn
        inputs = tuple(chain(*last.values()))
        layout += fully_connected(f"{MLP_READOUT}.fcn", fcn, inputs, free(fcn.hs[-1]))
    else:
        hidden, energy = modules[HIDDEN].linear, modules[ENERGY].linear
        between = {"0e": (Part(hidden.irreps_out.dim, READOUT),)}
        layout += linear(f"{HIDDEN}.linear", hidden, last, between)
        layout += linear(f"{ENERGY}.linear", energy, between, {})
    if not isinstance(modules[RESCALE], Rescale):
        for name, parameter in modules[RESCALE].named_parameters():
            modals = map(free, parameter.shape[:-1])
            layout.append(Weights(f"{RESCALE}.{name}", (*modals, elements), quantized=False))
    return layout


def gate_inputs(a: Architecture, t: int) -> dict[str, Axis]:
    """Return irrep -> what enters the gate of the features that enter layer t.

    Each channel of l > 0 has a scalar of its own that gates it; these come after the scalars.
    """
    axes = feature_axes(a.features[t], t)
    gating = gate_irrep(a.features[t])
    scalars = [
        Part(channels, feature_group(t, irrep), "gate")
        for irrep, channels in a.features[t].items()
        if order(irrep) > 0
    ]
    return {**axes, gating: (*axes.get(gating, ()), *scalars)}


def messages(network: NativeModule, a: Architecture, t: int) -> Messages:
    """Return the messages of a layer.

    sevenn computes those of all orders up to the highest that leaves the layer.
    """

    def needs(path: Path) -> tuple[str, ...]:
        degree, leaving = order(path.target), a.features[t + 1]
        above = (feature_group(t + 1, irrep) for irrep in leaving if order(irrep) >= degree)
        return tuple(above) if degree else ()

    paths = read_paths(network._modules[f"{t}_convolution"].convolution)
    return message_parts(t, paths, needs)


def _layer(network: NativeModule, a: Architecture, t: int, elements: Axis) -> Layout:
    modules = network._modules
    entering, leaving = feature_axes(a.features[t], t), gate_inputs(a, t + 1)
    sent = feature_axes(a.features[t], t, message_group)
    sending = messages(network, a, t)

    name = f"{t}_self_connection_intro"
    if hasattr(modules[name], "linear"):
        layout = [*linear(f"{name}.linear", modules[name].linear, entering, leaving)]
    else:
        product, name = modules[name].fc_tensor_product, f"{name}.fc_tensor_product"
        layout = [*linear(name, product, entering, leaving, elements)]
    name = f"{t}_self_interaction_1"
    layout += linear(f"{name}.linear", modules[name].linear, entering, sent)
    network_, name = modules[f"{t}_convolution"].weight_nn, f"{t}_convolution.weight_nn"
    radial = fully_connected(name, network_, free(network_.hs[0]), tuple(sending.values()))
    layout += [*radial[:-1], replace(radial[-1], multiplies=1)]
    name = f"{t}_self_interaction_2"
    layout += linear(f"{name}.linear", modules[name].linear, received(sending), leaving)
    return layout
