"""Gates on the irreps blocks of a MACE network, by forward hooks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from irrepress.core.family import Observer
from irrepress.core.groups import Group
from irrepress.core.model import Model
from irrepress.families.generic.gating import check_gates
from irrepress.families.mace.architecture import Architecture, dim, read_architecture
from irrepress.families.mace.contraction import contractions
from irrepress.families.mace.groups import (
    feature_group,
    filter_group,
    make_groups,
    message_group,
    mixed_group,
)
from irrepress.families.mace.package import FullyConnectedNet


@contextmanager
def gated(model: Model, gates: Mapping[str, Tensor], observer: Observer | None) -> Iterator[None]:
    """Gate blocks; see `irrepress.core.family.Family.gated`."""
    architecture = read_architecture(model.network)
    groups = {group.name: group for group in make_groups(architecture)}
    check_gates(gates, groups)
    with ExitStack() as stack:
        _Gating(model.network, architecture, groups, gates, observer, stack).place()
        yield


@dataclass
class _Gating:
    """Hooks on all sites of a network; a graph that runs says which structure a row belongs to."""

    network: torch.nn.Module
    architecture: Architecture
    groups: Mapping[str, Group]
    gates: Mapping[str, Tensor]
    observer: Observer | None
    stack: ExitStack

    def place(self) -> None:
        """Place all hooks that are needed."""
        self._hook(self.network.register_forward_pre_hook(self._remember))
        filters = [filter_group(irrep) for irrep in self.architecture.basis]
        self._on_output(self.network.spherical_harmonics, filters, per_edge=True)
        for t, layer in enumerate(self.architecture.layers):
            interaction, product = self.network.interactions[t], self.network.products[t]
            source = self.network.node_embedding if t == 0 else self.network.products[t - 1]
            features = [feature_group(t, irrep) for irrep in self.architecture.features[t]]
            self._on_output(source, features)
            messages = [message_group(t, irrep) for irrep in layer.edges]
            self._on_output(interaction.linear_up, messages)
            if layer.kind == "nonlinear":
                self._on_output(interaction.source_embedding, [f"source.{t}"])
                self._on_output(interaction.target_embedding, [f"target.{t}"])
            self._on_radial(interaction.conv_tp_weights, t)
            mixed = mixed_group(layer.kind, t)
            if mixed is not None:
                site = "linear" if layer.kind == "selecting" else "equivariant_nonlin"
                self._on_mixed(getattr(interaction, site), mixed)
            self._on_basis(interaction.reshape, t)
            self._on_correlation(product, t)
        last = len(self.architecture.layers)
        features = [feature_group(last, irrep) for irrep in self.architecture.features[last]]
        self._on_output(self.network.products[-1], features)
        heads = range(self.architecture.heads)
        inputs = [["linear_2"], ["linear_mid", "linear_2"]][self.architecture.readout_layers == 2]
        for i, name in enumerate(inputs if self.architecture.readout else []):
            module = getattr(self.network.readouts[-1], name)
            self._on_input(module, [f"readout.{i}.{h}" for h in heads])

    def _remember(self, module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        self._atoms = inputs[0]["batch"]
        self._edges = inputs[0]["edge_index"]

    def _hook(self, handle: Any) -> None:
        self.stack.callback(handle.remove)

    def _idle(self, names: Sequence[str]) -> bool:
        return self.observer is None and not any(name in self.gates for name in names)

    def _rows(self, gate: Tensor, per_edge: bool) -> Tensor:
        """Return gates per row, ``[rows or 1, channels]``."""
        if gate.ndim == 1:
            return gate[None]
        return gate[self._atoms[self._edges[0]] if per_edge else self._atoms]

    def _gate(self, name: str, like: Tensor, per_edge: bool = False) -> Tensor:
        """Return a group's gates, ``[rows or 1, channels]``; ones if it has none."""
        if name in self.gates:
            return self._rows(self.gates[name].to(like), per_edge)
        return like.new_ones(1, self.groups[name].channels)

    def _apply(self, features: Tensor, names: Sequence[str], per_edge: bool) -> Tensor:
        """Gate and show features of several groups that lie side by side."""
        members = [self.groups[name] for name in names]
        parts = features.split([g.channels * g.dim for g in members], dim=1)
        done = []
        for group, part in zip(members, parts, strict=True):
            part = part.reshape(len(part), group.channels, group.dim)
            part = part * self._gate(group.name, part, per_edge)[:, :, None]
            if self.observer is not None:
                self.observer(group.name, part)
            done.append(part.flatten(1))
        return torch.cat(done, dim=1)

    def _on_output(
        self, module: torch.nn.Module, names: Sequence[str], per_edge: bool = False
    ) -> None:
        if not self._idle(names):
            self._hook(
                module.register_forward_hook(
                    lambda _, inputs, output: self._apply(output, names, per_edge)
                )
            )

    def _on_input(self, module: torch.nn.Module, names: Sequence[str]) -> None:
        if not self._idle(names):
            self._hook(
                module.register_forward_pre_hook(
                    lambda _, inputs: (self._apply(inputs[0], names, False), *inputs[1:])
                )
            )

    def _on_mixed(self, module: torch.nn.Module, name: str) -> None:
        """Gate channels of all orders at once, where orders lie one after another."""
        if self._idle([name]):
            return
        channels = self.groups[name].channels
        sizes = [channels * dim(irrep) for irrep in self.architecture.basis]

        def hook(_: torch.nn.Module, inputs: Any, output: Tensor) -> Tensor:
            parts = [p.reshape(len(p), channels, -1) for p in output.split(sizes, dim=1)]
            whole = torch.cat(parts, dim=2)
            whole = whole * self._gate(name, whole)[:, :, None]
            if self.observer is not None:
                self.observer(name, whole)
            parts = whole.split([size // channels for size in sizes], dim=2)
            return torch.cat([part.flatten(1) for part in parts], dim=1)

        self._hook(module.register_forward_hook(hook))

    def _on_basis(self, module: torch.nn.Module, t: int) -> None:
        """Gate channels of the atomic basis, and its orders with those of the filter."""
        name = f"basis.{t}"
        filters = [filter_group(irrep) for irrep in self.architecture.basis]
        if self._idle([name, *filters]):
            return
        sizes = [dim(irrep) for irrep in self.architecture.basis]

        def hook(_: torch.nn.Module, inputs: Any, output: Tensor) -> Tensor:
            orders = [
                self._gate(each, output).expand(-1, size)
                for each, size in zip(filters, sizes, strict=True)
            ]
            rows = max(map(len, orders))
            orders = torch.cat([part.expand(rows, -1) for part in orders], dim=1)
            output = output * self._gate(name, output)[:, :, None] * orders[:, None, :]
            if self.observer is not None:
                self.observer(name, output)
            return output

        self._hook(module.register_forward_hook(hook))

    def _on_radial(self, network: torch.nn.Module, t: int) -> None:
        """Gate hidden channels of a radial network."""
        for i in range(len(self.architecture.radial)):
            name = f"radial.{t}.{i}"
            if isinstance(network, FullyConnectedNet):
                self._on_output(getattr(network, f"layer{i}"), [name], per_edge=True)
            elif not self._idle([name]):
                # A layer is followed by a normalisation over its channels, which must see those
                # that are kept alone, and by the activation.
                norm, activation = network.net[3 * i + 1], network.net[3 * i + 2]
                self._hook(norm.register_forward_hook(self._normalized(name)))
                self._on_output(activation, [name], per_edge=True)

    def _normalized(self, name: str) -> Callable[..., Tensor]:
        def hook(norm: torch.nn.LayerNorm, inputs: tuple[Tensor], _: Tensor) -> Tensor:
            (x,) = inputs
            share = self._gate(name, x, per_edge=True)
            share = share / share.sum(dim=1, keepdim=True)
            x = x - (share * x).sum(dim=1, keepdim=True)
            variance = (share * x.square()).sum(dim=1, keepdim=True)
            return x / (variance + norm.eps).sqrt() * norm.weight + norm.bias

        return hook

    def _on_correlation(self, product: torch.nn.Module, t: int) -> None:
        """Gate the orders of a product: each is linear in the one-hot element that it reads."""
        name = f"correlation.{t}"
        if self._idle([name]):
            return
        orders = self.groups[name].channels
        modules = contractions(self.network, t).values()
        for contraction in modules:
            self._hook(self._on_order(contraction.graph_opt_main, name, orders - 1))
            for index, module in enumerate(contraction.contractions_weighting):
                self._hook(self._on_order(module, name, orders - 2 - index))
        if self.observer is not None:
            self._hook(
                product.symmetric_contractions.register_forward_hook(
                    lambda module, inputs, output: self._show_orders(name, modules, *inputs)
                )
            )

    def _on_order(self, module: torch.nn.Module, name: str, index: int) -> Any:
        def hook(_: torch.nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            *others, element = inputs
            gate = self._gate(name, element)[:, index : index + 1]
            if self._alone not in (None, index):
                gate = torch.zeros_like(gate)
            return (*others, element * gate)

        return module.register_forward_pre_hook(hook)

    # While orders are shown one by one: which.
    _alone: int | None = None

    def _show_orders(
        self, name: str, modules: Sequence[torch.nn.Module], basis: Tensor, element: Tensor
    ) -> None:
        found = []
        for index in range(self.groups[name].channels):
            self._alone = index
            try:
                found.append(torch.cat([module(basis, element) for module in modules], dim=1))
            finally:
                self._alone = None
        self.observer(name, torch.stack(found, dim=1))
