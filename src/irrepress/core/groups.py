"""Groups of irreps blocks, by which a model can be narrowed.

An irreps block is one channel of one irrep (l, parity) at one site. It is kept or removed as a
whole, so that the narrowed model stays equivariant (arXiv 2605.08885, structural pruning along the
channel and the order dimension). If an architecture ties the channels of all irreps at a site, a
block holds one channel of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from irrepress.core.errors import UserError
from irrepress.core.irreps import dimension, order

# Name of the site of the node features, in all families.
FEATURES = "features"


@dataclass(frozen=True)
class Group:
    """The channels of one irrep at one site, each of which can be kept or removed.

    Attributes:
        name: unique name, such as ``features.2.1e`` (site, layer, irrep).
        layer: index of the layer, counted from 0.
        irrep: the irrep in e3nn's notation, such as ``1e``; for blocks that hold a channel of
            several irreps, all of them in ascending order, such as ``0e+1e+2e``.
        channels: number of blocks in the unpruned model.
        width: width key. Groups with the same key must keep the same number of channels, because
            the family's own constructor ties them; they may keep different ones.
        axis: ``channel`` for channels of features; ``width`` for hidden channels of a scalar
            network (radial, readout); ``correlation`` for the orders of a product of features with
            themselves, starting with the first, which can only be removed from the last; ``order``
            for a single block that represents an order of the spherical-harmonics filter or of all
            features, which is removed with everything of that order, from the highest down;
            ``component`` for a single block that represents the components +m and -m of features in
            the frames of edges, also removed from the highest down, whose irrep is the lowest with
            such components, l = m.
        floor: minimum number of channels in this architecture.
        multiple: the number of channels must be a multiple of this.
        follows: another width key, whose number of channels the group must keep, unless it keeps
            none. Empty: the group is independent.
        components: number of components of one block; 0: the dimension of its irreps.
        sized_like: width key of features whose number of channels the group has by default (MACE
            without ``edge_irreps``). Target irreps for those features apply to it as well. Empty:
            the group has its own number.

    Example:
        >>> group = Group("features.2.1e", layer=2, irrep="1e", channels=64, width="features.2.1e")
        >>> group.site, group.l, group.dim
        ('features', 1, 3)
    """

    name: str
    layer: int
    irrep: str
    channels: int
    width: str
    axis: Literal["channel", "width", "correlation", "order", "component"] = "channel"
    floor: int = 0
    multiple: int = 1
    follows: str = ""
    components: int = 0
    sized_like: str = ""

    @property
    def site(self) -> str:
        """Site of the blocks, such as ``features`` or ``messages``: the first part of the name."""
        return self.name.partition(".")[0]

    @property
    def l(self) -> int:  # noqa: E743 - l is the field's name for the order
        """The order of the irrep, or the lowest order if there are several."""
        return order(self.irreps[0])

    @property
    def irreps(self) -> tuple[str, ...]:
        """The irreps in a block."""
        return tuple(self.irrep.split("+"))

    @property
    def dim(self) -> int:
        """Number of components of one block: the sum of 2 l + 1, or 2 for +m and -m."""
        if self.axis == "component":
            return 2
        return self.components or sum(map(dimension, self.irreps))

    @property
    def in_order(self) -> bool:
        """Whether blocks can only be removed starting from the last, regardless of scores."""
        return self.axis == "correlation"

    def round_up(self, count: int) -> int:
        """Return the smallest valid number of channels that is at least ``count``."""
        return max(self.floor, -(-count // self.multiple) * self.multiple)


def widths_of(groups: Sequence[Group]) -> dict[str, int]:
    """Return the full width (number of channels) of every width key.

    Raises:
        UserError: if groups with the same width key have different numbers of channels.
    """
    widths: dict[str, int] = {}
    for group in groups:
        if widths.setdefault(group.width, group.channels) != group.channels:
            raise UserError(
                f"groups of width {group.width!r} have {widths[group.width]} and {group.channels} "
                "channels; a family may only tie groups of equal size"
            )
    return widths


def followers(groups: Sequence[Group]) -> dict[str, list[str]]:
    """Return the width keys that follow others: key -> keys that follow it."""
    found: dict[str, list[str]] = {}
    for group in groups:
        if group.follows and group.width not in found.setdefault(group.follows, []):
            found[group.follows].append(group.width)
    return found
