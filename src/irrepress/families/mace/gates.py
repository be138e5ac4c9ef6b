"""Where the irreps blocks of a MACE network are gated and observed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial

import torch
from torch import Tensor

from irrepress.core.groups import Group
from irrepress.core.irreps import dimension
from irrepress.core.model import Model, NativeModule
from irrepress.families.e3nn.groups import feature_group, filter_group, message_group
from irrepress.families.generic.gates import (
    Axis,
    Observed,
    Point,
    Rows,
    Site,
    layer_norm,
    side_by_side,
)
from irrepress.families.mace.architecture import Architecture
from irrepress.families.mace.contraction import contractions
from irrepress.families.mace.groups import mixed_group
from irrepress.families.mace.package import Contraction, FullyConnectedNet


def points(
    model: Model, architecture: Architecture, groups: Mapping[str, Group]
) -> Iterator[Point]:
    """Yield where groups are gated and observed; see `DescribedFamily.points`."""
    network = model.network

    def features(module: NativeModule, names: Sequence[str], rows: Rows) -> Site:
        return side_by_side(module, [groups[name] for name in names], rows)

    filters = [filter_group(irrep) for irrep in architecture.basis]
    yield features(network.spherical_harmonics, filters, "edges")
    for t, irreps in enumerate(architecture.features):
        source = network.node_embedding if t == 0 else network.products[t - 1]
        yield features(source, [feature_group(t, irrep) for irrep in irreps], "atoms")
    for t, layer in enumerate(architecture.layers):
        interaction = network.interactions[t]
        messages = [message_group(t, irrep) for irrep in layer.edges]
        yield features(interaction.linear_up, messages, "atoms")
        if layer.kind == "nonlinear":
            yield features(interaction.source_embedding, [f"source.{t}"], "atoms")
            yield features(interaction.target_embedding, [f"target.{t}"], "atoms")
        for i in range(len(architecture.radial)):
            yield from _radial(interaction.conv_tp_weights, i, groups[f"radial.{t}.{i}"])
        mixed = mixed_group(layer.kind, t)
        if mixed is not None:
            name = "linear" if layer.kind == "selecting" else "equivariant_nonlin"
            yield _mixed(getattr(interaction, name), architecture, groups[mixed])
        yield _basis(interaction.reshape, architecture, groups[f"basis.{t}"])
        yield from _correlation(network, t, groups[f"correlation.{t}"])
    inputs = [["linear_2"], ["linear_mid", "linear_2"]][architecture.readout_layers == 2]
    for i, name in enumerate(inputs if architecture.readout else []):
        hidden = [groups[f"readout.{i}.{h}"] for h in range(architecture.heads)]
        yield side_by_side(getattr(network.readouts[-1], name), hidden, argument=0)


def _mixed(module: NativeModule, architecture: Architecture, group: Group) -> Site:
    """Return the site of one group whose orders lie one after another."""
    dims = [dimension(irrep) for irrep in architecture.basis]
    each = torch.arange(group.channels)

    def views(features: Tensor) -> Iterator[tuple[str, Tensor]]:
        parts = features.split([group.channels * size for size in dims], dim=1)
        yield group.name, torch.cat([p.unflatten(1, (group.channels, -1)) for p in parts], dim=2)

    channels = torch.cat([each.repeat_interleave(size) for size in dims])
    return Site(module, (Axis((group.name,), channels),), views=views)


def _basis(module: NativeModule, architecture: Architecture, group: Group) -> Site:
    """Return the site of the atomic basis, whose orders are gated with those of the filter."""
    dims = torch.tensor([dimension(irrep) for irrep in architecture.basis])
    filters = tuple(filter_group(irrep) for irrep in architecture.basis)
    orders = torch.arange(len(dims)).repeat_interleave(dims)
    axes = Axis((group.name,), torch.arange(group.channels)), Axis(filters, orders, 2)
    return Site(module, axes, views=lambda features: [(group.name, features)])


def _radial(network: NativeModule, index: int, group: Group) -> Iterator[Point]:
    """Yield the sites of a hidden layer of a radial network."""
    if isinstance(network, FullyConnectedNet):
        yield side_by_side(getattr(network, f"layer{index}"), [group], "edges")
        return
    # A layer is followed by a normalisation over its channels and by the activation.
    yield layer_norm(network.net[3 * index + 1], group.name, "edges")
    yield side_by_side(network.net[3 * index + 2], [group], "edges")


def _correlation(network: NativeModule, t: int, group: Group) -> Iterator[Point]:
    """Yield the sites of the orders of a product: each is linear in the element that it reads."""
    modules = list(contractions(network, t).values())
    for contraction in modules:
        for order, module in enumerate(_orders(contraction)):
            # Where all elements share the weights (use_agnostic_product), there is one column.
            columns = torch.full((len(contraction.weights_max),), order)
            yield Site(module, (Axis((group.name,), columns),), argument=-1)
    product = network.products[t].symmetric_contractions
    yield Observed(product, partial(_each_order, group, modules))


def _orders(contraction: Contraction) -> list[NativeModule]:
    """Return the modules that add each order of a contraction, the first order first."""
    return [*reversed(list(contraction.contractions_weighting)), contraction.graph_opt_main]


def _each_order(
    group: Group, modules: Sequence[Contraction], basis: Tensor, element: Tensor
) -> Iterator[tuple[str, Tensor]]:
    """Yield the orders of a product one by one, as channels of their group."""
    found = []
    for order in range(group.channels):
        with ExitStack() as stack:
            for contraction in modules:
                for other, module in enumerate(_orders(contraction)):
                    if other != order:
                        handle = module.register_forward_pre_hook(_without_element)
                        stack.callback(handle.remove)
            found.append(torch.cat([module(basis, element) for module in modules], dim=1))
    yield group.name, torch.stack(found, dim=1)


def _without_element(module: NativeModule, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (*inputs[:-1], torch.zeros_like(inputs[-1]))
