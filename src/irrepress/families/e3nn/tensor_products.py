"""Operations of e3nn's channel-wise tensor products, which all families' convolutions are."""

from collections.abc import Sequence


def pair_operations(first: int, second: int, targets: Sequence[int]) -> tuple[int, int]:
    """Count the operations of the paths of one pair of irreps, by the cases of e3nn's code.

    A multiplication and an addition count as one each. The sum of messages over neighbours is
    included.

    Args:
        first: order of the features.
        second: order of the spherical harmonics.
        targets: orders of the messages, one path each.

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
    if targets and general != 1:
        per_channel += d1 * d2
    return per_channel, fixed
