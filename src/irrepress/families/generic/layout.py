"""Where the channels of every group lie in every parameter of a network, and what follows.

A family lists the weights of its network, each an array whose axes are rows of parts: consecutive
channels of one group. A plan keeps of a part the channels that it keeps of the group. From this
one description follow narrowing, leaving out elements, the sizes that costs are counted by, the
norms of what reads a block, and the matrices that can be quantized; a family writes none of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from irrepress.core.family import WeightBlock
from irrepress.core.groups import Group
from irrepress.core.model import Model

# Stands for a group in the parts that are indexed by element, which no plan removes.
ELEMENTS = "elements"


class Part(NamedTuple):
    """Consecutive channels of an axis that belong to one group.

    Attributes:
        size: their number in this network.
        group: whose channels they are; None: they are always kept whole.
        label: tells parts of one group apart, such as the path of a tensor product.
        inside: blocks, as (group, index), that hold the part as a whole, such as an order of the
            filter: it goes with each of them, and what reads it reads them, too.
        needs: groups one of which must keep something, or the part is not built.
    """

    size: int
    group: str | None = None
    label: str = ""
    inside: tuple[tuple[str, int], ...] = ()
    needs: tuple[str, ...] = ()


Axis = tuple[Part, ...]


@dataclass(frozen=True)
class Weights:
    """Weights that lie together in a parameter, as an array.

    Attributes:
        parameter: name of the parameter in the network.
        axes: what lies along each axis.
        start: where the array begins in the flattened parameter.
        scale: what the network multiplies the weights by when it runs; it depends on the widths.
        components: how many components of features each weight multiplies: 2 l + 1 in maps of
            order l.
        reads: the axis along which the features lie that the weights multiply and sum.
        multiplies: the axis of features that the weights multiply one by one, before others read
            them, as radial weights do with messages.
        averaged: axes over which norms take the mean square instead of the sum.
        quantized: whether the weights may be quantized.

    Example:
        A linear map from 4 channels of a group to 2 outputs, as PyTorch holds it:

        >>> Weights("map.weight", ((Part(2),), (Part(4, "features"),)), reads=1).shape
        (2, 4)
    """

    parameter: str
    axes: tuple[Axis, ...]
    start: int = 0
    scale: float = 1.0
    components: int = 1
    reads: int | None = None
    multiplies: int | None = None
    averaged: tuple[int, ...] = ()
    quantized: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return tuple(sum(part.size for part in axis) for axis in self.axes)

    def view(self, network: torch.nn.Module) -> Tensor:
        """Return the weights of a network as they are stored; changes reach the parameter."""
        flat = network.get_parameter(self.parameter).detach().view(-1)
        return flat[self.start : self.start + prod(self.shape)].view(self.shape)

    def values(self, network: torch.nn.Module) -> Tensor:
        """Return the weights as the network applies them, in float64."""
        return self.view(network).double() * self.scale


Layout = list[Weights]


def free(size: int) -> Axis:
    """Return an axis that is always kept whole."""
    return (Part(size),)


# --- narrowing -------------------------------------------------------------------------------


def kept_indices(axis: Axis, keep: Mapping[str, Sequence[int]]) -> Tensor:
    """Return which indices of an axis stay.

    Args:
        axis: of the wide network.
        keep: group -> channels that stay; groups that are absent stay whole.
    """
    counts = {name: len(kept) for name, kept in keep.items()}
    found, start = [torch.zeros(0, dtype=torch.long)], 0
    for part in axis:
        if _stays(part, counts):
            kept = keep.get(part.group, range(part.size)) if part.group else range(part.size)
            found.append(start + torch.as_tensor(kept, dtype=torch.long))
        start += part.size
    return torch.cat(found)


@torch.no_grad()
def copy_kept(
    wide: torch.nn.Module,
    wide_layout: Layout,
    narrow: torch.nn.Module,
    narrow_layout: Layout,
    keep: Mapping[str, Sequence[int]],
) -> None:
    """Copy the weights that stay into a narrower network, in place.

    The narrow network then computes what the wide one computes when all other channels are zero:
    where the network scales weights by the widths, the scales' ratio goes into the weights.

    Args:
        wide: the large network.
        wide_layout: its layout.
        narrow: the small network, as its family's constructor has built it.
        narrow_layout: its layout, with the weights in the same order.
        keep: group -> channels that stay; groups that are absent stay whole.

    Raises:
        ValueError: the narrow network has other weights than those that stay.
    """
    places = ((old, [kept_indices(axis, keep) for axis in old.axes]) for old in wide_layout)
    staying = [(old, kept) for old, kept in places if all(map(len, kept))]
    built = [new for new in narrow_layout if prod(new.shape)]
    for (old, kept), new in zip(staying, built, strict=True):
        if (old.parameter, tuple(map(len, kept))) != (new.parameter, new.shape):
            raise ValueError(
                f"{tuple(map(len, kept))} of {old.parameter} stay, but the narrow network has "
                f"{new.parameter} of shape {new.shape}"
            )
        weights = old.view(wide)
        for axis, indices in enumerate(kept):
            weights = weights.index_select(axis, indices.to(weights.device))
        new.view(narrow).copy_(weights * (old.scale / new.scale))


@torch.no_grad()
def copy_rest(wide: torch.nn.Module, narrow: torch.nn.Module, layout: Layout) -> None:
    """Copy every parameter that a layout does not describe, in place.

    Raises:
        ValueError: a parameter has another shape in the small network.
    """
    described = {weights.parameter for weights in layout}
    for name, target in narrow.named_parameters():
        if name not in described:
            source = wide.get_parameter(name)
            if source.shape != target.shape:
                raise ValueError(f"{name}: {tuple(source.shape)} -> {tuple(target.shape)}")
            target.copy_(source)


# --- sizes -----------------------------------------------------------------------------------


def axis_size(axis: Axis, counts: Mapping[str, int]) -> int:
    """Return the size of an axis for numbers of channels by group; absent groups stay whole."""
    return sum(part_size(part, counts) for part in axis)


def part_size(part: Part, counts: Mapping[str, int]) -> int:
    """Return the size of a part, as in `axis_size`."""
    if not _stays(part, counts):
        return 0
    return part.size if part.group is None else counts.get(part.group, part.size)


def _stays(part: Part, counts: Mapping[str, int]) -> bool:
    """Whether a network of some channels by group has anything of a part."""
    for name, index in part.inside:
        if counts.get(name, index + 1) <= index:
            return False
    return not part.needs or any(counts.get(name, 1) for name in part.needs)


# --- norms, quantization, roles --------------------------------------------------------------


@torch.no_grad()
def block_norms(model: Model, layout: Layout, groups: Sequence[Group]) -> dict[str, Tensor]:
    """Return group name -> norms, ``[channels]``; see `irrepress.core.family.Family.block_norms`.

    A block is read by the weights along whose axis of inputs it lies. Where other weights
    multiply it before that, products of both count. Orders and components, and orders of a
    product, collect what reads the channels inside them.
    """
    squares = {
        group.name: torch.zeros(group.channels, dtype=torch.float64, device=model.device)
        for group in groups
    }
    factors: dict[tuple[str | None, str], list[tuple[Part, Tensor]]] = {}
    for weights in layout:
        if weights.multiplies is not None:
            for part, square in _squares(model.network, weights, weights.multiplies):
                factors.setdefault((part.group, part.label), []).append((part, square))
    for weights in layout:
        if weights.reads is None:
            continue
        for part, square in _squares(model.network, weights, weights.reads):
            if part.group not in squares:
                continue
            one = [(part, torch.ones_like(square))]
            for multiplied, factor in factors.get((part.group, part.label), one):
                squares[part.group] += square * factor
                for name, index in {*part.inside, *multiplied.inside}:
                    squares[name][index] += (square * factor).sum()
    return {name: total.sqrt() for name, total in squares.items()}


def _squares(
    network: torch.nn.Module, weights: Weights, axis: int
) -> Iterator[tuple[Part, Tensor]]:
    """Yield the parts along an axis with the squares of each channel's weights, ``[size]``."""
    square = weights.values(network).square()
    for other in reversed(range(len(weights.axes))):
        if other != axis:
            square = square.mean(other) if other in weights.averaged else square.sum(other)
    parts = weights.axes[axis]
    yield from zip(parts, square.split([part.size for part in parts]), strict=True)


def weight_blocks(network: torch.nn.Module, layout: Layout) -> list[WeightBlock]:
    """Return the matrices that may be quantized, in the order of the network's parameters."""
    order = {name: place for place, (name, _) in enumerate(network.named_parameters())}
    blocks = []
    for weights in sorted(layout, key=lambda each: order[each.parameter]):
        if weights.quantized and len(weights.axes) > 1:
            *rows, columns = weights.shape
            shape = (prod(rows), columns)
            # PyTorch's own maps have their inputs last.
            transposed = weights.reads == len(rows)
            shape = shape[::-1] if transposed else shape
            blocks.append(WeightBlock(weights.parameter, weights.start, shape, transposed))
    return [block for block in blocks if prod(block.shape)]


def parameter_roles(model: Model, roles: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return what parameters do; see `irrepress.core.family.Family.parameter_roles`.

    Args:
        model: the model.
        roles: texts in names of the network's parameters, each with what such parameters do; the
            first that fits counts. All others are linear maps between features.
    """
    return {
        name: next(
            (role for text, role in roles if text in name.removeprefix("network.")), "linear"
        )
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
