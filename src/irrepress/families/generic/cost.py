"""What networks of any widths cost, counted on the axes of their layout.

Most of what is counted is a multiple of the product of sizes of axes (`Amount`): parameters,
operations of linear maps, operations that are done channel by channel. The first two follow from
the layout; a family adds the third, and functions for what is no such product.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod
from typing import NamedTuple

import torch

from irrepress.core.cost import Cost, CostModel
from irrepress.core.groups import Group
from irrepress.families.generic.layout import Axis, Layout, Part, Weights, part_size

# Group -> channels that are kept, and the same of what a layout names beside groups.
Channels = Mapping[str, int]
# Name -> amount of all that is counted under it.
Totals = dict[str, float]


class Amount(NamedTuple):
    """A multiple of the product of the sizes of some axes.

    Attributes:
        name: what it is counted under.
        axes: the axes; none: the amount is the same for all widths.
        factor: what their product is multiplied by.

    Example:
        >>> axis = (Part(4, "features"),)
        >>> counter([group], [Amount("additions", (axis,), 3)])({"features": 2})
        {'additions': 6.0}
    """

    name: str
    axes: tuple[Axis, ...] = ()
    factor: float = 1.0


def parameters(network: torch.nn.Module, layout: Layout) -> list[Amount]:
    """Return the parameters of a network, those that its layout does not describe included."""
    described = {weights.parameter for weights in layout}
    constant = sum(p.numel() for name, p in network.named_parameters() if name not in described)
    return [
        Amount("parameters", factor=constant),
        *(Amount("parameters", weights.axes) for weights in layout),
    ]


def multiplications(
    layout: Iterable[Weights], name: Callable[[str], str | None], factor: float = 1.0
) -> list[Amount]:
    """Return the multiplications of linear maps, each weight with all components that it reads.

    Args:
        layout: the weights of a network.
        name: from the name of a parameter to what its multiplications are counted under; None:
            they are not counted.
        factor: operations for each, such as 2 where additions count as well.
    """
    return [
        Amount(found, weights.axes, factor * weights.components)
        for weights in layout
        if weights.reads is not None and (found := name(weights.parameter)) is not None
    ]


def counter(
    groups: Sequence[Group],
    amounts: Iterable[Amount],
    further: Sequence[Callable[[Channels], Mapping[str, float]]] = (),
    tied: Callable[[Channels], Channels] = lambda _: {},
) -> Callable[[Mapping[str, int]], Totals]:
    """Return the function from widths by width key to totals by name.

    Args:
        groups: all groups of the model.
        amounts: products of sizes of axes.
        further: functions from channels by group to other amounts, by name.
        tied: from channels by group to sizes of other parts of the layout that follow from them.
    """
    factors: dict[tuple[str, tuple[int, ...]], float] = {}
    # Many amounts share axes, and many axes parts: the size of each is counted once.
    axes: dict[Axis, int] = {}
    for name, each, factor in amounts:
        key = name, tuple(axes.setdefault(axis, len(axes)) for axis in each)
        factors[key] = factors.get(key, 0.0) + factor
    parts: dict[Part, int] = {}
    places = [[parts.setdefault(part, len(parts)) for part in axis] for axis in axes]

    def count(widths: Mapping[str, int]) -> Totals:
        channels = channel_counts(groups, widths)
        channels |= tied(channels)
        of_parts = [part_size(part, channels) for part in parts]
        sizes = [sum(of_parts[place] for place in axis) for axis in places]
        totals = dict.fromkeys((name for name, _ in factors), 0.0)
        for (name, indices), factor in factors.items():
            totals[name] += factor * prod(sizes[index] for index in indices)
        for function in further:
            for name, amount in function(channels).items():
                totals[name] = totals.get(name, 0.0) + amount
        return totals

    return count


def cost_model(count: Callable[[Mapping[str, int]], Totals], neighbours: float) -> CostModel:
    """Return widths -> cost; see `irrepress.core.family.Family.cost_model`.

    Args:
        count: gives ``parameters``, and operations ``per atom`` and ``per edge``.
        neighbours: number of edges per atom.
    """

    def cost(widths: Mapping[str, int]) -> Cost:
        totals = count(widths)
        flops = totals["per atom"] + neighbours * totals["per edge"]
        return Cost(parameters=int(totals["parameters"]), flops=flops)

    return cost


def channel_counts(groups: Sequence[Group], widths: Mapping[str, int]) -> dict[str, int]:
    """Return group -> channels kept, for widths by width key.

    Orders and components are cut from the top: those below one that is kept are kept.
    """
    counts = {group.name: widths.get(group.width, group.channels) for group in groups}
    for axis in ("order", "component"):
        kept = False
        for group in sorted((g for g in groups if g.axis == axis), key=lambda g: -g.l):
            kept = kept or counts[group.name] > 0
            counts[group.name] = int(kept)
    return counts
