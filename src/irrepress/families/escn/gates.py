"""The groups of blocks of an eSCN-MD network, and gates on them.

A block holds one channel of every order, since fairchem's layers have equally many channels of
all orders:

- ``features``: the residual stream, one choice for all layers (``sphere_channels``);
- ``messages.{t}`` along edges and ``update.{t}`` at atoms: hidden features of layer t, and
  ``readout1``, ``readout2`` (all ``hidden_channels``: a choice each, of equal size);
- ``source``, ``target``: embeddings of elements at the ends of edges; ``radial1.{t}``,
  ``radial2.{t}``, ``degree1``, ``degree2``: hidden layers of the radial networks (all
  ``edge_channels``);
- ``order.{l}e``: everything of order l; ``component.{m}e``: components +m and -m along edges.

Norms. fairchem divides features by their mean square over all channels and orders, and the
hidden layers of radial networks by their deviation over channels. A channel or an order that is
masked must not count there, as it will not once it is cut. So while gates are set, means are
weighted by the gates: with gates of 0 and 1 they are the narrowed network's, and a gate's
derivative tells what a removal does to the norms, too. (Left alone, norms would make the masked
network another one than the narrowed, by as much as the kept share of channels differs from 1.)
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from irrepress.core.family import Observer
from irrepress.core.groups import Group
from irrepress.core.model import Model
from irrepress.families.escn.architecture import Architecture, read_architecture
from irrepress.families.escn.forward import energy_block
from irrepress.families.escn.layout import (
    FEATURES,
    SOURCE,
    TARGET,
    component,
    messages,
    order,
    radial,
    readout,
    update,
)
from irrepress.families.generic.gating import check_gates

CHANNELS, HIDDEN, EDGES = "sphere_channels", "hidden_channels", "edge_channels"


def make_groups(architecture: Architecture) -> list[Group]:
    """Return all groups in the order of the network."""
    a = architecture
    every = "+".join(f"{degree}e" for degree in range(a.lmax + 1))
    last = a.layers - 1

    def scalars(name: str, layer: int) -> Group:
        return Group(name, layer, "0e", a.edge_channels, EDGES, floor=1)

    def hidden(name: str, layer: int, irrep: str = every) -> Group:
        return Group(name, layer, irrep, a.hidden, HIDDEN, floor=1)

    groups = [
        Group(
            order(degree), 0, f"{degree}e", 1, order(degree), axis="order", floor=int(degree == 0)
        )
        for degree in range(a.lmax + 1)
    ]
    groups += [
        Group(component(m), 0, f"{m}e", 1, component(m), axis="component")
        for m in range(1, a.mmax + 1)
    ]
    # fairchem embeds charges by pairs of channels.
    groups.append(Group(FEATURES, 0, every, a.channels, CHANNELS, floor=2, multiple=2))
    groups += [scalars(name, 0) for name in (SOURCE, TARGET, radial(1, None), radial(2, None))]
    for t in range(a.layers):
        groups += [scalars(radial(index, t), t) for index in (1, 2)]
        groups += [hidden(messages(t), t), hidden(update(t), t)]
    return [*groups, hidden(readout(1), last, "0e"), hidden(readout(2), last, "0e")]


@contextmanager
def gated(model: Model, gates: Mapping[str, Tensor], observer: Observer | None) -> Iterator[None]:
    """Gate blocks while the context lasts; see `irrepress.core.family.Family.gated`."""
    architecture = read_architecture(model.native)
    groups = {group.name: group for group in make_groups(architecture)}
    check_gates(gates, groups)
    outer = getattr(model, "gating", None)
    model.gating = gating = _Gating(model, architecture, gates, observer)
    with ExitStack() as stack:
        stack.callback(setattr, model, "gating", outer)
        for module, hook in gating.hooks():
            stack.callback(module.register_forward_hook(hook).remove)
        yield


class _Gating:
    """Gates on a network, as forward hooks of its modules.

    Args:
        model: the model.
        architecture: its sizes.
        gates: group name -> gates.
        observer: sees gated features.
    """

    def __init__(
        self,
        model: Model,
        architecture: Architecture,
        gates: Mapping[str, Tensor],
        observer: Observer | None,
    ):
        self._model, self._a = model, architecture
        self._gates, self._observer = gates, observer
        like = {"dtype": model.dtype, "device": model.device}
        degrees = torch.arange(architecture.lmax + 1, device=model.device)
        self._orders = degrees.repeat_interleave(2 * degrees + 1)
        along = torch.tensor(architecture.components, device=model.device)
        self._edge_orders, self._edge_components = along.T
        self._like = torch.ones(1, **like)
        self._atoms = self._edges = torch.zeros(0, dtype=torch.long)

    def set_rows(self, structure: Tensor, index: Tensor) -> None:
        """Tell which structure each atom, and each edge, belongs to."""
        self._atoms, self._edges = structure, structure[index[1]]

    def gate_system(self, system: Tensor) -> Tensor:
        """Gate the embeddings of structures, ``[structures, channels]``."""
        rows = torch.arange(len(system), device=system.device)
        return system * self._features(rows)[:, 0]

    def hooks(self) -> Iterator[tuple[torch.nn.Module, Any]]:
        """Yield modules and their hooks."""
        backbone = self._model.network.backbone
        yield backbone.sphere_embedding, self._on_embedding
        yield backbone.source_embedding, partial(self._on_scalars, SOURCE)
        yield backbone.target_embedding, partial(self._on_scalars, TARGET)
        degree = backbone.edge_degree_embedding.rad_func
        yield from self._radial(degree.net, None)
        yield degree, self._on_degree
        for t, block in enumerate(backbone.blocks):
            yield from self._radial(block.edge_wise.so2_conv_1.rad_func.net, t)
            yield block.norm_1, self._on_norm
            yield block.norm_2, self._on_norm
            last = t == self._a.layers - 1
            yield block.edge_wise.act, partial(self._on_messages, messages(t), last)
            yield block.atom_wise.act, partial(self._on_update, update(t))
            yield block.edge_wise, self._on_features
            yield block.atom_wise, self._on_features
        yield backbone.norm, self._on_norm
        yield backbone.norm, self._observe_features
        net = energy_block(self._model)
        yield net[1], partial(self._on_readout, readout(1))
        yield net[3], partial(self._on_readout, readout(2))

    def _radial(self, net: torch.nn.Sequential, layer: int | None) -> Iterator[tuple[Any, Any]]:
        for index, place in ((1, 1), (2, 4)):
            name = radial(index, layer)
            yield net[place], partial(self._on_layer_norm, name)
            yield net[place + 1], partial(self._on_scalars, name)

    # --- factors, [rows or 1, channels] -----------------------------------------------------

    def _gate(self, name: str, rows: Tensor, channels: int = 1) -> Tensor:
        gate = self._gates.get(name)
        if gate is None:
            return self._like.expand(1, channels)
        gate = gate.to(self._like)
        return gate[None] if gate.ndim == 1 else gate[rows]

    def _of_orders(self, rows: Tensor) -> Tensor:
        """Gates of all orders, ``[rows or 1, lmax + 1]``."""
        return _joined([self._gate(order(degree), rows) for degree in range(self._a.lmax + 1)])

    def _features(self, rows: Tensor) -> Tensor:
        """Gates of features, ``[rows or 1, (lmax + 1)^2, channels]``."""
        orders = self._of_orders(rows)[:, self._orders]
        return orders[:, :, None] * self._gate(FEATURES, rows, self._a.channels)[:, None]

    # --- hooks ------------------------------------------------------------------------------

    def _on_embedding(self, module: Any, inputs: Any, output: Tensor) -> Tensor:
        return output * self._features(self._atoms)[:, 0]

    def _on_features(self, module: Any, inputs: Any, output: Tensor) -> Tensor:
        return output * self._features(self._atoms)

    def _on_degree(self, module: Any, inputs: Any, output: Tensor) -> Tensor:
        """Gate what radial weights give features of each order; rows are edges."""
        rows = self._edges
        channels = self._gate(FEATURES, rows, self._a.channels)[:, None]
        factor = self._of_orders(rows)[:, :, None] * channels
        return output * factor.flatten(1)

    def _on_scalars(self, name: str, module: Any, inputs: Any, output: Tensor) -> Tensor:
        output = output * self._gate(name, self._edges, self._a.edge_channels)
        self._observe(name, output[:, :, None])
        return output

    def _on_readout(self, name: str, module: Any, inputs: Any, output: Tensor) -> Tensor:
        output = output * self._gate(name, self._atoms, self._a.hidden)
        self._observe(name, output[:, :, None])
        return output

    def _on_update(self, name: str, module: Any, inputs: Any, output: Tensor) -> Tensor:
        orders = self._of_orders(self._atoms)[:, self._orders]
        hidden = self._gate(name, self._atoms, self._a.hidden)
        output = output * (orders[:, :, None] * hidden[:, None])
        self._observe(name, output.mT)
        return output

    def _on_messages(
        self, name: str, last: bool, module: Any, inputs: Any, output: Tensor
    ) -> Tensor:
        rows = self._edges
        whole = self._like.expand(1, 1)  # the component 0
        found = [self._gate(component(m), rows) for m in range(1, self._a.mmax + 1)]
        components = _joined([whole, *found])[:, self._edge_components]
        factor = self._of_orders(rows)[:, self._edge_orders] * components
        output = output * (factor[:, :, None] * self._gate(name, rows, self._a.hidden)[:, None])
        if self._observer is not None:
            self._observe(name, self._spread(output))
            for m in range(1, self._a.mmax + 1) if last else ():
                own = output[:, self._edge_components == m].unflatten(1, (2, -1))
                self._observe(component(m), own.flatten(2).norm(dim=2)[:, None])
        return output

    def _on_layer_norm(self, name: str, module: Any, inputs: Any, output: Tensor) -> Tensor | None:
        if name not in self._gates:
            return None
        gate = self._gate(name, self._edges)
        count = gate.sum(1, keepdim=True).clamp_min(1)
        mean = (inputs[0] * gate).sum(1, keepdim=True) / count
        centred = inputs[0] - mean
        variance = (centred.square() * gate).sum(1, keepdim=True) / count
        return centred * (variance + module.eps).rsqrt() * module.weight + module.bias

    def _on_norm(self, module: Any, inputs: Any, output: Tensor) -> Tensor | None:
        """The norm of fairchem's with means over what gates keep; features are gated already."""
        names = (FEATURES, *map(order, range(self._a.lmax + 1)))
        if not any(name in self._gates for name in names):
            return None
        rows = self._atoms
        channels, orders = self._gate(FEATURES, rows, self._a.channels), self._of_orders(rows)
        count = channels.sum(1).clamp_min(1)[:, None, None]
        scalars, others = inputs[0][:, :1], inputs[0][:, 1:]
        scalars = scalars - scalars.sum(2, keepdim=True) / count * channels[:, None]
        features = torch.cat([scalars, others], dim=1)
        # fairchem's weights are 1 / ((2 l + 1) (lmax + 1)).
        weights = module.balance_degree_weight * (self._a.lmax + 1)
        squares = torch.einsum("nic,ij->nj", features.square(), weights)[:, :, None]
        squares = squares / count / orders.sum(1).clamp_min(1)[:, None, None]
        scale = (squares + module.eps).rsqrt() * module.affine_weight[module.expand_index]
        bias = module.affine_bias * channels * orders[:, :1]
        features = features * scale
        return torch.cat([features[:, :1] + bias[:, None], features[:, 1:]], dim=1)

    def _observe_features(self, module: Any, inputs: Any, output: Tensor) -> None:
        if self._observer is None:
            return
        features = inputs[0]
        self._observe(FEATURES, features.mT)
        for degree in range(self._a.lmax + 1):
            self._observe(order(degree), features[:, self._orders == degree].norm(dim=2)[:, None])

    def _observe(self, name: str, features: Tensor) -> None:
        if self._observer is not None:
            self._observer(name, features)

    def _spread(self, hidden: Tensor) -> Tensor:
        """Return features along edges as ``[edges, channels, (lmax + 1)^2]``, absent m as zeros."""
        full = hidden.new_zeros(len(hidden), len(self._orders), hidden.shape[2])
        places = self._model.network.backbone.coefficient_index
        found = self._model.network.backbone.mappingReduced.to_m.to(hidden.dtype)
        return full.index_copy(1, places, torch.einsum("mk,emc->ekc", found, hidden)).mT


def _joined(parts: list[Tensor]) -> Tensor:
    """Join columns of 1 or of all rows."""
    rows = max(len(part) for part in parts)
    return torch.cat([part.expand(rows, -1) for part in parts], dim=1)
