"""What convolutions cost: e3nn's channel-wise products of features and spherical harmonics."""

from collections.abc import Callable, Mapping
from functools import cache

from irrepress.core.irreps import order
from irrepress.families.e3nn.paths import Path
from irrepress.families.generic.cost import Channels, Totals
from irrepress.families.generic.layout import Part, part_size


def convolution_operations(messages: Mapping[Path, Part]) -> Callable[[Channels], Totals]:
    """Return the function from channels by group to a convolution's operations per edge.

    A multiplication and an addition count as one each. The sum of messages over neighbours is
    included.

    Args:
        messages: the paths of the convolution and what they give.
    """
    pairs: dict[tuple[str, str], list[tuple[int, Part]]] = {}
    for path, part in messages.items():
        pairs.setdefault((path.source, path.filter), []).append((order(path.target), part))

    def operations(channels: Channels) -> Totals:
        total = 0.0
        for (source, filter_), parts in pairs.items():
            kept = {target: size for target, part in parts if (size := part_size(part, channels))}
            if kept:
                per_channel, fixed = pair_operations(order(source), order(filter_), tuple(kept))
                total += max(kept.values()) * per_channel + fixed
        return {"per edge": total}

    return operations


@cache
def pair_operations(first: int, second: int, targets: tuple[int, ...]) -> tuple[int, int]:
    """Count the operations of the paths of one pair of irreps, by the cases of e3nn's code.

    Args:
        first: order of the features.
        second: order of the spherical harmonics.
        targets: orders of the messages, one path each; at least one.

    Returns:
        Operations per channel of the features, and operations whatever the channels; per edge.
    """
    d1, d2 = 2 * first + 1, 2 * second + 1
    general = sum(target > 0 for target in targets) if first and second else 0
    per_channel = fixed = 0
    for target in targets:
        d3 = 2 * target + 1
        if not first or not second:  # the weight with the scalar first, then with the other factor
            per_channel += 1 + d1 * d2
        elif d3 == 1:  # weight (x . y)
            per_channel += 2 * d1 + 1
        elif general == 1:  # y with the 3j symbols first, then x; the weight where it is cheapest
            per_channel += 2 * d1 * d3 + min(d1, d3)
            fixed += 2 * d1 * d2 * d3
        else:  # the outer product of x and y with the 3j symbols, then the weight
            per_channel += 2 * d1 * d2 * d3 + d3
        per_channel += d3  # the sum over neighbours
    # The outer product is computed once for all paths of the pair; also in vain, if no path
    # reads it, but not if only one does, because its contraction is then ordered anew.
    if general != 1:
        per_channel += d1 * d2
    return per_channel, fixed


def convolution_terms(
    messages: Mapping[Path, Part], *, by_orders: bool
) -> Callable[[Channels], Totals]:
    """Return the function from channels by group to what the time of a convolution is made of.

    Tensor products along edges take most of the time, and more than their operations tell: e3nn's
    code writes the outer product of features and filter to memory, ``[edges, channels, (2 l1 + 1)
    (2 l2 + 1)]``, and forces read it once more for every path. Which of reading, writing, computing
    and calling is slow differs between machines and between sizes of l1 and l2, so that each has a
    term of its own, without constant factors:

    - ``paths``: paths of the tensor product, each some calls of kernels;
    - ``scalar products``: sizes of products with a scalar as factor or result, per edge;
    - ``products``: sizes of all other outer products, per edge;
    - ``contractions``: operations that turn outer products into messages, per edge;
    - ``messages``: sizes of messages, per edge.

    Args:
        messages: the paths of the convolution and what they give.
        by_orders: give each pair of orders its own term, such as ``products 1x2`` for orders 1
            and 2, either way round, instead of ``products``.
    """
    found = []
    for path, part in messages.items():
        l1, l2, l3 = map(order, (path.source, path.filter, path.target))
        name = f"products {min(l1, l2)}x{max(l1, l2)}" if by_orders else "products"
        found.append((l1, l2, l3, name, part))
    names = ["paths", "scalar products", "contractions", "messages"]
    names += [name for l1, l2, _, name, _ in found if (l1 and l2) or not by_orders]

    def terms(channels: Channels) -> Totals:
        total = dict.fromkeys(names, 0.0)
        for l1, l2, l3, name, part in found:
            count = part_size(part, channels)
            size = count * (2 * l1 + 1) * (2 * l2 + 1)
            total["paths"] += count > 0
            total["messages"] += count * (2 * l3 + 1)
            if l1 and l2 and l3:
                total[name] += size
                total["contractions"] += size * (2 * l3 + 1)
            else:
                total["scalar products"] += size
        return total

    return terms
