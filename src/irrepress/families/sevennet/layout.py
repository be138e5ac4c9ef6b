"""Where the channels of every group lie in the parameters of a SevenNet network."""

from dataclasses import replace
from itertools import chain

from sevenn.nn.scale import Rescale

from irrepress.core.model import NativeModule
from irrepress.families.e3nn.layout import fully_connected, linear
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
    Path,
    gate_irrep,
    order,
    read_architecture,
    read_paths,
)
from irrepress.families.sevennet.gates import feature_group, filter_group, message_group

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
    embedding, last = modules[EMBEDDING].linear, _features(a, a.layers)
    layout = [*linear(f"{EMBEDDING}.linear", embedding, {"0e": elements}, _features(a, 0))]
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
    axes = _features(a, t)
    gating = gate_irrep(a.features[t])
    scalars = [
        Part(channels, feature_group(t, irrep), "gate")
        for irrep, channels in a.features[t].items()
        if order(irrep) > 0
    ]
    return {**axes, gating: (*axes.get(gating, ()), *scalars)}


def _layer(network: NativeModule, a: Architecture, t: int, elements: Axis) -> Layout:
    modules = network._modules
    entering, leaving = _features(a, t), gate_inputs(a, t + 1)
    sent = {
        irrep: (Part(channels, message_group(t, irrep)),)
        for irrep, channels in a.features[t].items()
    }
    convolution = modules[f"{t}_convolution"]
    messages = {path: _message(a, t, path) for path in read_paths(convolution)}
    received: dict[str, Axis] = {}
    for path, part in messages.items():
        received[path.target] = (*received.get(path.target, ()), part)

    name = f"{t}_self_connection_intro"
    if hasattr(modules[name], "linear"):
        layout = [*linear(f"{name}.linear", modules[name].linear, entering, leaving)]
    else:
        product, name = modules[name].fc_tensor_product, f"{name}.fc_tensor_product"
        layout = [*linear(name, product, entering, leaving, elements)]
    name = f"{t}_self_interaction_1"
    layout += linear(f"{name}.linear", modules[name].linear, entering, sent)
    network_, name = convolution.weight_nn, f"{t}_convolution.weight_nn"
    radial = fully_connected(name, network_, free(network_.hs[0]), tuple(messages.values()))
    layout += [*radial[:-1], replace(radial[-1], multiplies=1)]
    name = f"{t}_self_interaction_2"
    layout += linear(f"{name}.linear", modules[name].linear, received, leaving)
    return layout


def _features(a: Architecture, t: int) -> dict[str, Axis]:
    return {
        irrep: (Part(channels, feature_group(t, irrep)),)
        for irrep, channels in a.features[t].items()
    }


def _message(a: Architecture, t: int, path: Path) -> Part:
    """Return the messages of a path, one for each channel that is sent.

    sevenn computes messages of all orders up to the highest that leaves the layer.
    """
    degree = order(path.target)
    above = [feature_group(t + 1, irrep) for irrep in a.features[t + 1] if order(irrep) >= degree]
    return Part(
        path.channels,
        message_group(t, path.source),
        label=f"{path.source} x {path.filter} -> {path.target}",
        inside=((filter_group(path.filter), 0),),
        needs=tuple(above) if degree else (),
    )
