"""Groups of irreps blocks: the places where a model can be narrowed.

An irreps block is one channel of one irrep (l, parity) at one site. It is kept or removed
whole, so that the narrowed model stays equivariant (arXiv 2605.08885, structural pruning
along the channel and the order dimension). Where an architecture has the same channels for all
irreps of a site, a block holds one channel of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from irrepress.core.errors import UserError
from irrepress.core.irreps import dimension, order

# The site of the node features, as every family calls it.
FEATURES = "features"


@dataclass(frozen=True)
class Group:
    """The channels of one irrep at one site, which are chosen one by one.

    Attributes:
        name: unique name, such as ``features.2.1e`` (site, layer, irrep).
        layer: index of the layer the group belongs to, counted from 0.
        irrep: the irrep in e3nn's notation, such as ``1e``; for blocks that hold a channel of
            several irreps all of them, the lowest order first, such as ``0e+1e+2e``.
        channels: number of blocks in the unpruned model.
        width: groups with the same width key must keep the same number of channels, because
            the family's own constructor ties them. Which channels they keep is free.
        axis: ``channel`` for features whose channels are removed one by one; ``width`` for hidden
            channels of a scalar network (radial, readout), which are removed one by one as well but
            are not features of a layer; ``correlation`` for orders of a product of features with
            themselves, the first block being the first order, which are removed from the last;
            ``order`` for a single block that stands for an order of the spherical-harmonics
            filter, or of all features, which is removed together with everything of that order,
            from the top down; ``component`` for a single block that stands for the components of
            degrees +m and -m of features along edges, in the frame of the edge, likewise removed
            from the top down. Its irrep is the lowest that has them, l = m.
        floor: least number of channels that the architecture can keep.
        multiple: the number of channels must be a multiple of this.
        follows: another width key: the group keeps as many channels as are kept there, or none.
            Empty: the group has a number of its own.
        components: number of components of one block, if that differs from the dimension of its
            irreps; 0: it does not.
        sized_like: the width key of features that the group has as many channels as, because the
            model was built without a number of its own for it (MACE without ``edge_irreps``).
            Target irreps for those features apply to it as well. Empty: it has its own.

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
        """Where the blocks are, such as ``features`` or ``messages``: the name's first part."""
        return self.name.partition(".")[0]

    @property
    def l(self) -> int:  # noqa: E743 - l is the field's name for the order
        """The order of the irrep, the lowest if there are several."""
        return order(self.irreps[0])

    @property
    def irreps(self) -> tuple[str, ...]:
        """The irreps that a block has a channel of."""
        return tuple(self.irrep.split("+"))

    @property
    def dim(self) -> int:
        """Number of components of one block: the sum of 2 l + 1, or 2 for +m and -m."""
        if self.axis == "component":
            return 2
        return self.components or sum(map(dimension, self.irreps))

    @property
    def in_order(self) -> bool:
        """Whether blocks can only be removed from the last on, whatever their scores."""
        return self.axis == "correlation"

    def round_up(self, count: int) -> int:
        """Return the least number of channels, no smaller than ``count``, that can be built."""
        return max(self.floor, -(-count // self.multiple) * self.multiple)


def widths_of(groups: Sequence[Group]) -> dict[str, int]:
    """Return the full width (number of channels) of every width key.

    Raises:
        UserError: two groups of one width key differ in their number of channels.
    """
    widths: dict[str, int] = {}
    for group in groups:
        if widths.setdefault(group.width, group.channels) != group.channels:
            raise UserError(
                f"groups of width {group.width!r} have {widths[group.width]} and "
                f"{group.channels} channels; a family must tie only groups of equal size"
            )
    return widths


def followers(groups: Sequence[Group]) -> dict[str, list[str]]:
    """Return the width keys that follow another: key -> keys that follow it."""
    found: dict[str, list[str]] = {}
    for group in groups:
        if group.follows and group.width not in found.setdefault(group.follows, []):
            found[group.follows].append(group.width)
    return found
