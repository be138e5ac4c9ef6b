"""Choice of frames that differ most from each other."""

from collections.abc import Sequence

import numpy as np


def share_out(count: int, available: Sequence[int]) -> list[int]:
    """Divide ``count`` evenly among sources; what one lacks, the others give.

    >>> share_out(10, [8, 2, 8])
    [4, 2, 4]
    """
    shares = np.zeros(len(available), dtype=int)
    left = np.array(available, dtype=int)
    rest = min(count, int(left.sum()))
    while rest:
        giving = np.flatnonzero(left)
        # Those that have most left give what cannot be divided.
        giving = giving[np.argsort(-left[giving], kind="stable")]
        each, odd = divmod(rest, len(giving))
        wanted = np.full(len(giving), each)
        wanted[:odd] += 1
        given = np.minimum(wanted, left[giving])
        shares[giving] += given
        left[giving] -= given
        rest -= int(given.sum())
    return shares.tolist()


def choose_diverse(descriptors: Sequence[np.ndarray], shares: Sequence[int]) -> list[np.ndarray]:
    """Choose frames of several runs by farthest-point sampling.

    Runs give in turn the frame that is farthest from all chosen so far, of all runs. So each gives
    its share, and frames that another run already has are left out. The first frame is the one
    closest to the mean. Columns are divided by their standard deviation over all frames, so that
    none outweighs the others by its unit.

    Args:
        descriptors: for each run ``[frames, columns]``.
        shares: number of frames to choose of each run, at most as many as it has.

    Returns:
        For each run the indices of its chosen frames, ascending.

    >>> line = [np.array([[0.0], [1.0], [2.0], [9.0]]), np.array([[8.9], [5.0]])]
    >>> [indices.tolist() for indices in choose_diverse(line, [2, 1])]
    [[0, 2], [0]]
    """
    owner = np.repeat(np.arange(len(descriptors)), [len(each) for each in descriptors])
    points = _standardized(np.concatenate(descriptors))
    distances = np.full(len(points), np.inf)
    chosen = np.zeros(len(points), dtype=bool)
    left = list(shares)
    while any(left):
        for run in np.flatnonzero(left):
            own = np.flatnonzero((owner == run) & ~chosen)
            # Nothing is chosen yet: the typical frame, as outliers follow by themselves.
            first = not chosen.any()
            measure = -np.square(points[own]).sum(1) if first else distances[own]
            pick = own[np.argmax(measure)]
            chosen[pick] = True
            left[run] -= 1
            np.minimum(distances, np.square(points - points[pick]).sum(1), out=distances)
    return [np.flatnonzero(chosen[owner == run]) for run in range(len(descriptors))]


def choose_spaced(available: Sequence[int], shares: Sequence[int]) -> list[np.ndarray]:
    """Choose frames of several runs evenly spaced in time, the last of each among them.

    >>> [indices.tolist() for indices in choose_spaced([6], [3])]
    [[1, 3, 5]]
    """
    return [
        (np.arange(1, share + 1) * total // max(share, 1)) - 1
        for total, share in zip(available, shares, strict=True)
    ]


def _standardized(points: np.ndarray) -> np.ndarray:
    spread = points.std(axis=0)
    varying = spread > 1e-6 * max(float(spread.max(initial=0.0)), 1e-30)
    return (points[:, varying] - points[:, varying].mean(axis=0)) / spread[varying]
