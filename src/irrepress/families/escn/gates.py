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
from typing import cast

import torch
from torch import Tensor

from irrepress.core.groups import Group
from irrepress.core.model import Model, NativeModule
from irrepress.families.escn.architecture import Architecture
from irrepress.families.escn.forward import SYSTEM, energy_block
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
from irrepress.families.generic.gates import (
    Axis,
    Gating,
    Norm,
    Observed,
    Point,
    Rows,
    Site,
    layer_norm,
    side_by_side,
)

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


def points(
    model: Model, architecture: Architecture, groups: Mapping[str, Group]
) -> Iterator[Point]:
    """Yield where groups are gated and observed; see `DescribedFamily.points`."""
    return _Points(model, architecture, groups).all()


class _Points:
    """Where blocks of a network are gated and observed.

    Args:
        model: the model.
        architecture: its sizes.
        groups: its groups, by name.
    """

    def __init__(self, model: Model, architecture: Architecture, groups: Mapping[str, Group]):
        self._model, self._a, self._groups = model, architecture, groups
        degrees = torch.arange(architecture.lmax + 1)
        # The order of each component of features.
        self._degrees = degrees.repeat_interleave(2 * degrees + 1)
        self._orders = tuple(order(degree) for degree in range(architecture.lmax + 1))

    def all(self) -> Iterator[Point]:
        """Yield all points, in the order of the network."""
        backbone = self._model.network.backbone
        zero = torch.zeros(self._a.channels, dtype=torch.long)
        scalars = self._channels(FEATURES), Axis(self._orders[:1], zero)
        yield Site(SYSTEM, scalars, "structures")
        yield Site(backbone.sphere_embedding, scalars)
        yield self._scalars(backbone.source_embedding, SOURCE, "edges")
        yield self._scalars(backbone.target_embedding, TARGET, "edges")
        degree = backbone.edge_degree_embedding.rad_func
        yield from self._radial(degree.net, None)
        yield self._degree(degree)
        for t, block in enumerate(backbone.blocks):
            yield from self._radial(block.edge_wise.so2_conv_1.rad_func.net, t)
            yield from map(self._norm, (block.norm_1, block.norm_2))
            yield self._messages(block.edge_wise.act, t)
            yield self._update(block.atom_wise.act, update(t))
            yield Site(block.edge_wise, self._of_all_orders(FEATURES))
            yield Site(block.atom_wise, self._of_all_orders(FEATURES))
        yield self._norm(backbone.norm)
        yield Observed(backbone.norm, self._features)
        net = energy_block(self._model)
        yield self._scalars(net[1], readout(1), "atoms")
        yield self._scalars(net[3], readout(2), "atoms")

    def _channels(self, name: str, axis: int = 1) -> Axis:
        return Axis((name,), torch.arange(self._groups[name].channels), axis)

    def _of_all_orders(self, name: str) -> tuple[Axis, ...]:
        """Return the axes of features, ``[atoms, (lmax + 1)^2, channels]``."""
        return Axis(self._orders, self._degrees), self._channels(name, axis=2)

    def _scalars(self, module: NativeModule, name: str, rows: Rows) -> Site:
        return side_by_side(module, [self._groups[name]], rows)

    def _radial(self, net: torch.nn.Sequential, layer: int | None) -> Iterator[Point]:
        for index, place in ((1, 1), (2, 4)):
            name = radial(index, layer)
            yield layer_norm(cast(torch.nn.LayerNorm, net[place]), name, "edges")
            yield self._scalars(net[place + 1], name, "edges")

    def _degree(self, module: NativeModule) -> Site:
        """Return the site of what radial weights give features, order after order."""
        orders, channels = len(self._orders), self._a.channels
        axes = (
            Axis(self._orders, torch.arange(orders).repeat_interleave(channels)),
            Axis((FEATURES,), torch.arange(channels).repeat(orders)),
        )
        return Site(module, axes, "edges")

    def _update(self, module: NativeModule, name: str) -> Site:
        return Site(module, self._of_all_orders(name), views=lambda features: [(name, features.mT)])

    def _messages(self, module: NativeModule, t: int) -> Site:
        """Return the site of a layer's hidden features along edges."""
        degrees, components = torch.tensor(self._a.components).T
        numbers = range(1, self._a.mmax + 1)
        last = t == self._a.layers - 1

        def views(hidden: Tensor) -> Iterator[tuple[str, Tensor]]:
            yield messages(t), self._spread(hidden)
            for m in numbers if last else ():
                own = hidden[:, components == m].unflatten(1, (2, -1))
                yield component(m), own.flatten(2).norm(dim=2)[:, None]

        axes = (
            Axis(self._orders, degrees),
            Axis((None, *map(component, numbers)), components),  # m = 0 has no group
            self._channels(messages(t), axis=2),
        )
        return Site(module, axes, "edges", views)

    def _norm(self, module: NativeModule) -> Norm:
        """Return a norm of fairchem's, with means over what gates keep of gated features."""

        def normalized(gating: Gating, features: Tensor) -> Tensor:
            channels, orders = (
                gating.per_row(gating.per_structure(groups, features), "atoms")
                for groups in ((FEATURES,), self._orders)
            )
            count = channels.sum(1).clamp_min(1)[:, None, None]
            scalars, others = features[:, :1], features[:, 1:]
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

        return Norm(module, (FEATURES, *self._orders), normalized)

    def _features(self, features: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield features of all orders, and the norms of each order's."""
        yield FEATURES, features.mT
        for degree, name in enumerate(self._orders):
            yield name, features[:, self._degrees == degree].norm(dim=2)[:, None]

    def _spread(self, hidden: Tensor) -> Tensor:
        """Return features along edges as ``[edges, channels, (lmax + 1)^2]``, absent m as zeros."""
        full = hidden.new_zeros(len(hidden), len(self._degrees), hidden.shape[2])
        places = self._model.network.backbone.coefficient_index
        found = self._model.network.backbone.mappingReduced.to_m.to(hidden.dtype)
        return full.index_copy(1, places, torch.einsum("mk,emc->ekc", found, hidden)).mT
