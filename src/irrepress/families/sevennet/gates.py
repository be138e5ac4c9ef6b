"""The groups of irreps blocks of a SevenNet network, and gates on them.

``features.{t}.{ir}`` are the features that enter layer t (those of t = L enter the readout),
``messages.{t}.{ir}`` those that its convolution sends along the edges, and ``filter.{ir}`` the
orders of the spherical harmonics. Features and messages of one layer and irrep may keep different
channels but must keep equally many: sevenn builds both from the same irreps.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import sevenn._keys as KEY
import torch
from torch import Tensor

from irrepress.core.family import Observer
from irrepress.core.groups import Group
from irrepress.core.model import Model
from irrepress.families.generic.gating import check_gates
from irrepress.families.sevennet.architecture import (
    EDGES,
    EMBEDDING,
    Architecture,
    order,
    read_architecture,
)


def feature_group(layer: int, irrep: str) -> str:
    """Return the name of the group of features that enter a layer."""
    return f"features.{layer}.{irrep}"


def message_group(layer: int, irrep: str) -> str:
    """Return the name of the group of features that a layer's convolution sends."""
    return f"messages.{layer}.{irrep}"


def filter_group(irrep: str) -> str:
    """Return the name of the group of one order of the spherical harmonics."""
    return f"filter.{irrep}"


def width_key(layer: int, irrep: str) -> str:
    """Return the width key that features and messages of a layer share."""
    return f"{layer}.{irrep}"


def make_groups(architecture: Architecture) -> list[Group]:
    """Return all groups in the order of the network."""
    groups = [
        Group(
            name=filter_group(irrep),
            layer=0,
            irrep=irrep,
            channels=1,
            width=filter_group(irrep),
            axis="order",
            floor=1 if order(irrep) == 0 else 0,
        )
        for irrep in architecture.filter
    ]
    for layer, features in enumerate(architecture.features):
        last = layer == architecture.layers
        for irrep, channels in features.items():
            floor = 0
            if irrep == "0e":
                # sevenn's linear readout has half as many hidden channels as inputs.
                floor = 2 if last and not architecture.mlp_readout else 1
            names = [feature_group(layer, irrep)]
            if not last:
                names.append(message_group(layer, irrep))
            groups += [
                Group(name, layer, irrep, channels, width_key(layer, irrep), floor=floor)
                for name in names
            ]
    return groups


@dataclass(frozen=True)
class _Site:
    """A place where features of several groups lie side by side in one tensor.

    Attributes:
        module: name of the sevenn module whose output holds them.
        key: sevenn's key of the tensor in that output.
        groups: their groups, in the tensor's order.
        per_edge: whether rows are edges instead of atoms.
    """

    module: str
    key: str
    groups: tuple[Group, ...]
    per_edge: bool


@contextmanager
def gated(model: Model, gates: Mapping[str, Tensor], observer: Observer | None) -> Iterator[None]:
    """Gate blocks by forward hooks; see `irrepress.core.family.Family.gated`."""
    architecture = read_architecture(model.network)
    groups = {group.name: group for group in make_groups(architecture)}
    check_gates(gates, groups)
    with ExitStack() as stack:
        for site in _sites(architecture, groups):
            if observer is None and not any(g.name in gates for g in site.groups):
                continue
            handle = model.network._modules[site.module].register_forward_hook(
                _hook(site, gates, observer)
            )
            stack.callback(handle.remove)
        yield


def _sites(architecture: Architecture, groups: Mapping[str, Group]) -> Iterator[_Site]:
    filters = tuple(groups[filter_group(irrep)] for irrep in architecture.filter)
    yield _Site(EDGES, KEY.EDGE_ATTR, filters, per_edge=True)
    for layer, features in enumerate(architecture.features):
        module = EMBEDDING if layer == 0 else f"{layer - 1}_equivariant_gate"
        here = tuple(groups[feature_group(layer, irrep)] for irrep in features)
        yield _Site(module, KEY.NODE_FEATURE, here, per_edge=False)
        if layer < architecture.layers:
            here = tuple(groups[message_group(layer, irrep)] for irrep in features)
            module = f"{layer}_self_interaction_1"
            yield _Site(module, KEY.NODE_FEATURE, here, per_edge=False)


def _hook(
    site: _Site, gates: Mapping[str, Tensor], observer: Observer | None
) -> Callable[[torch.nn.Module, Any, Any], Any]:
    def hook(module: torch.nn.Module, inputs: Any, data: Any) -> Any:
        features = data[site.key]
        if any(group.name in gates for group in site.groups):
            structure = data[KEY.BATCH]
            if site.per_edge:
                structure = structure[data[KEY.EDGE_IDX][0]]
            features = features * _factor(site.groups, gates, structure, features)
            data[site.key] = features
        if observer is not None:
            _observe(site.groups, features, observer)
        return data

    return hook


def _factor(
    groups: Sequence[Group], gates: Mapping[str, Tensor], structure: Tensor, like: Tensor
) -> Tensor:
    """Return what the features are multiplied by: ``[rows or 1, dimension]``."""
    parts = []
    for group in groups:
        gate = gates.get(group.name)
        if gate is None:
            gate = like.new_ones(group.channels)
        parts.append(gate.to(like).repeat_interleave(group.dim, dim=-1))
    if all(part.ndim == 1 for part in parts):
        return torch.cat(parts)
    structures = max(len(part) for part in parts if part.ndim == 2)
    parts = [part.expand(structures, -1) for part in parts]
    return torch.cat(parts, dim=1)[structure]


def _observe(groups: Sequence[Group], features: Tensor, observer: Observer) -> None:
    sizes = [group.channels * group.dim for group in groups]
    for group, part in zip(groups, features.split(sizes, dim=1), strict=True):
        observer(group.name, part.reshape(len(part), group.channels, group.dim))
