"""Where the channels of every group lie in the parameters of a MACE network."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import torch

from irrepress.core.irreps import dimension
from irrepress.core.model import NativeModule
from irrepress.families.e3nn.groups import feature_group, filter_group, message_group
from irrepress.families.e3nn.layout import (
    Axes,
    Messages,
    feature_axes,
    fully_connected,
    linear,
    message_parts,
    received,
)
from irrepress.families.e3nn.paths import read_paths
from irrepress.families.generic.layout import ELEMENTS, Axis, Layout, Part, Weights, free
from irrepress.families.mace.architecture import (
    Architecture,
    Layer,
    read_architecture,
)
from irrepress.families.mace.contraction import contractions, couplings, live_paths, weights_of
from irrepress.families.mace.groups import mixed_group
from irrepress.families.mace.package import FullyConnectedNet

# What parameters do, by texts in their names.
ROLES = (
    (".conv_tp_weights.", "radial"),
    (".density_fn.", "radial"),
    ("radial_embedding.", "radial"),
    ("pair_repulsion", "radial"),
    ("node_embedding.", "embedding"),
    ("source_embedding", "embedding"),
    ("target_embedding", "embedding"),
    ("readouts.", "readout"),
)


def make_layout(network: NativeModule) -> Layout:
    """Return the weights of a network."""
    return map_layout(network) + product_layout(network)


def map_layout(network: NativeModule) -> Layout:
    """Return the weights of all but the products of the atomic basis with itself."""
    a = read_architecture(network)
    elements = _elements(network)
    features = [feature_axes(channels, t) for t, channels in enumerate(a.features)]
    layout = _map(network, "node_embedding.linear", {"0e": elements}, features[0])
    for t, layer in enumerate(a.layers):
        layout += _maps(network, a, t, layer, elements)
        layout += _radial_networks(network, a, t, layer)
        rows: Axes = {irrep: (_channel(a, t, irrep),) for irrep in a.features[t + 1]}
        layout += _map(network, f"products.{t}.linear", rows, features[t + 1])
    offset = len(a.layers) - len(network.readouts)
    for i, readout in enumerate(network.readouts):
        entering, name = features[i + offset + 1], f"readouts.{i}"
        if not hasattr(readout, "linear_1"):
            layout += _map(network, f"{name}.linear", entering, {})
            continue
        hidden: list[Axes] = [{"0e": readout_axis(a, k)} for k in range(a.readout_layers)]
        names = ["linear_1", *["linear_mid"] * (a.readout_layers - 1), "linear_2"]
        for each, rows, columns in zip(names, [entering, *hidden], [*hidden, {}], strict=True):
            layout += _map(network, f"{name}.{each}", rows, columns)
    return layout


def product_layout(network: NativeModule) -> Layout:
    """Return the weights of the products of the atomic basis.

    Which paths stay follows from the basis, but mace may write them in another one:
    `contraction.narrow_contractions` copies them.
    """
    layers = range(len(network.products))
    return [*chain.from_iterable(chain.from_iterable(products(network, t) for t in layers))]


def products(network: NativeModule, t: int) -> Iterator[Layout]:
    """Yield the weights of a layer's products by irrep, those of order 1 first.

    They are one for each element, path and channel.
    """
    a, elements = read_architecture(network), _elements(network)
    for k, (irrep, module) in enumerate(contractions(network, t).items()):
        name = f"products.{t}.symmetric_contractions.contractions.{k}"
        weights = weights_of(module)
        layout: Layout = []
        for index, weight in enumerate(weights):
            highest = index == len(weights) - 1
            last = "weights_max" if highest else f"weights.{len(weights) - 2 - index}"
            channels = _channel(a, t, irrep)._replace(
                inside=((f"correlation.{t}", index),), needs=(feature_group(t + 1, irrep),)
            )
            axes = (
                elements if len(weight) == elements[0].size else free(len(weight)),
                _paths(a, couplings(module, index + 1)),
                (channels,),
            )
            layout.append(
                Weights(
                    f"{name}.{last}",
                    axes,
                    components=dimension(irrep),
                    multiplies=2,
                    averaged=(0,),
                )
            )
        yield layout


def messages(network: NativeModule, t: int) -> Messages:
    """Return the messages of a layer."""
    paths = read_paths(network.interactions[t].conv_tp)
    return message_parts(t, paths, lambda path: (filter_group(path.target),))


def gate_inputs(a: Architecture, t: int) -> dict[str, Axis]:
    """Return irrep -> what enters the gate of a non-linear layer.

    The scalars are followed by those that gate each order.
    """
    name = f"gated.{t}"
    gates = (
        Part(a.channels, name, f"gate of {irrep}", needs=(filter_group(irrep),))
        for irrep in a.basis
    )
    return {**all_orders(a, name), "0e": tuple(gates)}


def readout_axis(a: Architecture, layer: int) -> Axis:
    """Return the hidden channels of a layer of the last readout, head after head."""
    return tuple(Part(a.readout, f"readout.{layer}.{head}") for head in range(a.heads))


def _maps(network: NativeModule, a: Architecture, t: int, layer: Layer, elements: Axis) -> Layout:
    """Return the maps of a layer up to its atomic basis."""
    name = f"interactions.{t}"
    entering, leaving, basis = (
        feature_axes(a.features[t], t),
        feature_axes(a.features[t + 1], t + 1),
        all_orders(a, f"basis.{t}"),
    )
    sent = feature_axes(layer.edges, t, message_group)
    incoming = received(messages(network, t))
    mixed = mixed_group(layer.kind, t)
    between = basis if mixed is None else all_orders(a, mixed)

    layout = _map(network, f"{name}.linear_up", entering, sent)
    ends = (between, basis) if layer.kind == "selecting" else (entering, leaving)
    layout += _map(network, f"{name}.skip_tp", *ends, elements)
    if layer.kind != "nonlinear":
        return layout + _map(network, f"{name}.linear", incoming, between)
    for end in ("source", "target"):
        columns = {"0e": (Part(a.channels, f"{end}.{t}"),)}
        layout += _map(network, f"{name}.{end}_embedding", {"0e": elements}, columns)
    gates = gate_inputs(a, t)
    layout += _map(network, f"{name}.linear_1", incoming, gates)
    layout += _map(network, f"{name}.linear_res", sent, gates)
    return layout + _map(network, f"{name}.linear_2", between, basis)


def _radial_networks(network: NativeModule, a: Architecture, t: int, layer: Layer) -> Layout:
    """Return the weights of the networks of distances, whose last ones multiply messages."""
    inputs = free(network.radial_embedding.out_dim)
    if layer.kind == "nonlinear":
        inputs += tuple(Part(a.channels, f"{end}.{t}") for end in ("source", "target"))
    hidden = [(Part(width, f"radial.{t}.{i}"),) for i, width in enumerate(a.radial)]
    *others, last = _scalar_network(
        network,
        f"interactions.{t}.conv_tp_weights",
        [inputs, *hidden, tuple(messages(network, t).values())],
    )
    if len(last.axes) == 1:  # biases, which follow their matrix
        matrix = replace(others[-1], multiplies=0, averaged=(1,))
        layout = [*others[:-1], matrix, last]
    else:
        layout = [*others, replace(last, multiplies=1, averaged=(0,))]
    if hasattr(network.interactions[t], "density_fn"):
        layout += _scalar_network(network, f"interactions.{t}.density_fn", [inputs, free(1)])
    return layout


def _scalar_network(network: NativeModule, name: str, axes: list[Axis]) -> Layout:
    """Return the weights of a network of scalars; inner axes that are not named stay whole."""
    module = network.get_submodule(name)
    if isinstance(module, FullyConnectedNet):
        hidden = axes[1:-1] if len(axes) == len(module.hs) else None
        return fully_connected(name, module, axes[0], axes[-1], hidden)
    maps = [inner for inner in module.net if isinstance(inner, torch.nn.Linear)]
    if len(axes) != len(maps) + 1:
        axes = [axes[0], *(free(inner.out_features) for inner in maps[:-1]), axes[-1]]
    layout, place = [], -1
    for k, inner in enumerate(module.net):
        if isinstance(inner, torch.nn.Linear):
            place += 1
            matrix = (axes[place + 1], axes[place])
            layout.append(Weights(f"{name}.net.{k}.weight", matrix, reads=1))
        elif isinstance(inner, torch.nn.LayerNorm):
            layout.append(Weights(f"{name}.net.{k}.weight", (axes[place + 1],)))
        else:
            continue
        layout.append(Weights(f"{name}.net.{k}.bias", (axes[place + 1],)))
    return layout


def _map(
    network: NativeModule, name: str, rows: Axes, columns: Axes, elements: Axis = ()
) -> Layout:
    """Return the weights of a map; norms take the mean of those of all elements."""
    found = linear(name, network.get_submodule(name), rows, columns, elements)
    return [replace(each, averaged=(1,)) if len(each.axes) == 3 else each for each in found]


def _elements(network: NativeModule) -> Axis:
    return (Part(len(network.atomic_numbers), ELEMENTS),)


def all_orders(a: Architecture, name: str) -> dict[str, Axis]:
    """Return the channels of a group that has all orders of the filter."""
    return {ir: (Part(a.channels, name, ir, needs=(filter_group(ir),)),) for ir in a.basis}


def _channel(a: Architecture, t: int, irrep: str) -> Part:
    """Return the products of a layer's atomic basis that have an irrep."""
    return Part(a.channels, f"basis.{t}", f"product {irrep}")


def _paths(a: Architecture, coupling: torch.Tensor) -> Axis:
    """Return the paths of a product, each with the highest order of the basis that it needs.

    mace gives one path a weight even if the basis feeds none.
    """
    parts: list[Part] = []
    components = 0
    for irrep in a.basis:
        components += dimension(irrep)
        new = live_paths(coupling, components) - len(parts)
        parts += [Part(1, needs=(filter_group(irrep),) if parts else ())] * new
    return tuple(parts)
