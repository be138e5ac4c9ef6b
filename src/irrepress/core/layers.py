"""Choosing some of a network's layers by their number."""


def evenly(total: int, count: int) -> tuple[int, ...]:
    """Return ``count`` of ``total`` indices, evenly from the first to the last; one: the last.

    >>> evenly(5, 3), evenly(5, 4), evenly(5, 2), evenly(5, 1)
    ((0, 2, 4), (0, 1, 3, 4), (0, 4), (4,))
    """
    if count == 1:
        return (total - 1,)
    steps = count - 1
    return tuple((2 * i * (total - 1) + steps) // (2 * steps) for i in range(count))
