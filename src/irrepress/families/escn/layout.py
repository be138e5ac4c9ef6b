"""Where the channels of every group lie in every parameter of a network.

Each axis of a parameter is a row of parts: the channels of one group at one order l and, along
edges, one component m. A plan keeps of a part the channels that it keeps of the group, if it
keeps the order and the component, and nothing otherwise. Narrowing, counting parameters and
measuring weights all follow from this one description.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from irrepress.core.plan import Plan
from irrepress.families.escn.architecture import Architecture

FEATURES, SOURCE, TARGET = "features", "source", "target"


class Part(NamedTuple):
    """Consecutive elements of an axis.

    Attributes:
        size: their number in the wide network.
        group: whose channels they are; None: they are kept whole.
        l: the order that they belong to.
        m: the component that they belong to.
    """

    size: int
    group: str | None = None
    l: int = 0  # noqa: E741 - the field's name
    m: int = 0


# The parts of an axis; the axes of a parameter.
Axis = list[Part]
Layout = dict[str, tuple[Axis, ...]]


def messages(layer: int) -> str:
    """Return the name of the group of a layer's hidden features along edges."""
    return f"messages.{layer}"


def update(layer: int) -> str:
    """Return the name of the group of the hidden features of a layer's feed-forward network."""
    return f"update.{layer}"


def readout(index: int) -> str:
    """Return the name of the group of a hidden layer of the readout, 1 or 2."""
    return f"readout{index}"


def radial(index: int, layer: int | None) -> str:
    """Return the name of the group of a hidden layer, 1 or 2, of a radial network.

    Args:
        index: of the hidden layer.
        layer: whose radial network it is; None: that of the first embedding of edges.
    """
    return f"degree{index}" if layer is None else f"radial{index}.{layer}"


def order(degree: int) -> str:
    """Return the name of the group of an order l."""
    return f"order.{degree}e"


def component(m: int) -> str:
    """Return the name of the group of the components +m and -m along edges."""
    return f"component.{m}e"


@dataclass(frozen=True)
class Choice:
    """What a plan keeps.

    Attributes:
        lmax: highest order.
        mmax: highest component.
        kept: group name -> indices of channels.
    """

    lmax: int
    mmax: int
    kept: dict[str, Tensor]

    @classmethod
    def of(cls, architecture: Architecture, plan: Plan) -> "Choice":
        """Read a plan that is native."""
        orders = [degree for degree in range(architecture.lmax + 1) if plan.keep[order(degree)]]
        components = [m for m in range(1, architecture.mmax + 1) if plan.keep[component(m)]]
        lmax = max(orders)
        kept = {name: torch.tensor(channels) for name, channels in plan.keep.items()}
        return cls(lmax, min(lmax, max(components, default=0)), kept)

    def indices(self, axis: Axis) -> Tensor:
        """Return the indices of an axis that are kept."""
        found, start = [], 0
        for part in axis:
            if part.l <= self.lmax and part.m <= self.mmax:
                kept = torch.arange(part.size) if part.group is None else self.kept[part.group]
                found.append(kept + start)
            start += part.size
        return torch.cat(found) if found else torch.zeros(0, dtype=torch.long)


def make_layout(architecture: Architecture) -> Layout:
    """Return the axes of every parameter; those that are absent have no channels of any group."""
    a = architecture
    scalars = [Part(a.channels, FEATURES)]
    all_orders = _orders(a, 0, a.channels, FEATURES)
    rows = [Part(1, None, degree) for degree in range(a.lmax + 1)]
    layout: Layout = {
        "backbone.sphere_embedding.weight": (_free(a.numbers), scalars),
        "backbone.source_embedding.weight": (_free(a.numbers), [Part(a.edge_channels, SOURCE)]),
        "backbone.target_embedding.weight": (_free(a.numbers), [Part(a.edge_channels, TARGET)]),
        "backbone.mix_csd.bias": (scalars,),
        "backbone.norm.affine_weight": (rows, scalars),
        "backbone.norm.affine_bias": (scalars,),
    }
    layout |= _radial(a, "backbone.edge_degree_embedding.rad_func.net", None, all_orders)
    for t in range(a.layers):
        layout |= _layer(a, t)
    first, second = ([Part(a.hidden, readout(index))] for index in (1, 2))
    head = f"output_heads.{a.head}.energy_block"
    layout[f"{head}.0.weight"], layout[f"{head}.0.bias"] = (first, scalars), (first,)
    layout[f"{head}.2.weight"], layout[f"{head}.2.bias"] = (second, first), (second,)
    layout[f"{head}.4.weight"], layout[f"{head}.4.bias"] = (_free(1), second), (_free(1),)
    return layout


def _layer(a: Architecture, t: int) -> Layout:
    """Return the axes of a layer's parameters."""
    layout: Layout = {}
    scalars = [Part(a.channels, FEATURES)]
    rows = [Part(1, None, degree) for degree in range(a.lmax + 1)]
    block = f"backbone.blocks.{t}"
    for norm in ("norm_1", "norm_2"):
        layout[f"{block}.{norm}.affine_weight"] = (rows, scalars)
        layout[f"{block}.{norm}.affine_bias"] = (scalars,)

    first, second = f"{block}.edge_wise.so2_conv_1", f"{block}.edge_wise.so2_conv_2"
    weights: Axis = []
    for m in range(a.mmax + 1):
        # Features of both ends of an edge lie side by side, order after order.
        both = [part for part in _orders(a, m, a.channels, FEATURES) for _ in range(2)]
        hidden = _orders(a, m, a.hidden, messages(t))
        leaving = _orders(a, m, a.channels, FEATURES)
        weights += both
        if m == 0:
            gates = hidden[1:]
            layout[f"{first}.fc_m0.weight"] = (gates + hidden, both)
            layout[f"{first}.fc_m0.bias"] = (gates + hidden,)
            layout[f"{second}.fc_m0.weight"] = (leaving, hidden)
            layout[f"{second}.fc_m0.bias"] = (leaving,)
        else:
            # The real part of a complex weight, then the imaginary one.
            layout[f"{first}.so2_m_conv.{m - 1}.fc.weight"] = (hidden + hidden, both)
            layout[f"{second}.so2_m_conv.{m - 1}.fc.weight"] = (leaving + leaving, hidden)
    layout |= _radial(a, f"{first}.rad_func.net", t, weights)

    hidden = [Part(a.hidden, update(t))]
    gates = _orders(a, 0, a.hidden, update(t))[1:]
    atoms = f"{block}.atom_wise"
    layout[f"{atoms}.scalar_mlp.0.weight"] = (gates, scalars)
    layout[f"{atoms}.scalar_mlp.0.bias"] = (gates,)
    layout[f"{atoms}.so3_linear_1.weight"] = (rows, hidden, scalars)
    layout[f"{atoms}.so3_linear_1.bias"] = (hidden,)
    layout[f"{atoms}.so3_linear_2.weight"] = (rows, scalars, hidden)
    layout[f"{atoms}.so3_linear_2.bias"] = (scalars,)
    return layout


def _radial(a: Architecture, net: str, layer: int | None, outputs: Axis) -> Layout:
    """Return the axes of a radial network with its two norms."""
    entering = [Part(a.basis), Part(a.edge_channels, SOURCE), Part(a.edge_channels, TARGET)]
    first, second = ([Part(a.edge_channels, radial(index, layer))] for index in (1, 2))
    layout: Layout = {}
    for index, (inputs, channels) in ((0, (entering, first)), (3, (first, second))):
        layout[f"{net}.{index}.weight"], layout[f"{net}.{index}.bias"] = (
            (channels, inputs),
            (channels,),
        )
        layout[f"{net}.{index + 1}.weight"] = layout[f"{net}.{index + 1}.bias"] = (channels,)
    layout[f"{net}.6.weight"], layout[f"{net}.6.bias"] = (outputs, second), (outputs,)
    return layout


def _orders(a: Architecture, m: int, channels: int, group: str) -> Axis:
    """Return one part for each order that has the component m."""
    return [Part(channels, group, degree, m) for degree in range(m, a.lmax + 1)]


def _free(size: int) -> Axis:
    return [Part(size)]


def size_of(axis: Iterable[Part], widths: Mapping[str, int], lmax: int, mmax: int) -> int:
    """Return the number of elements of an axis for numbers of channels by group."""
    return sum(
        part.size if part.group is None else widths[part.group]
        for part in axis
        if part.l <= lmax and part.m <= mmax
    )
