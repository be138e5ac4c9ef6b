"""Composition of the batch of each step, as a function of only the seed and the step.

Permutations of the train split are concatenated into an endless stream. Batches are consecutive
slices of it, so no structure is skipped or drawn twice within a permutation, and resumed training
sees the same batches as an uninterrupted run.

With limits on atoms or edges, a batch ends where the next structure would exceed one of them, and
the number of structures per batch varies. The loss of a step remains the mean over its batch, and
all steps have equal weight. Force errors, which are means over atoms, then have equal weight in all
batches that reach the limit on atoms; the energy of a structure has more weight the fewer
structures share its batch, that is, the larger they are.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Limit:
    """A limit on the size of a batch.

    Attributes:
        key: name of the setting.
        unit: what is counted, in the plural, such as ``atoms``.
        largest: maximum per batch.
        sizes: size of each structure of the store, ``[structures]`` integers.

    Example:
        >>> atoms = Limit("max_atoms", "atoms", 100, sizes=np.array([60, 60, 30, 30]))
        >>> cut(np.arange(4), batch_size=8, limits=[atoms])
        [0, 1, 3, 4]
    """

    key: str
    unit: str
    largest: int
    sizes: np.ndarray


class Permutations:
    """An endless stream of permutations of the indices.

    Args:
        indices: the indices to permute, ``[structures]`` integers.
        seed: seed for the permutations.

    Example:
        >>> stream = Permutations(np.array([3, 5, 7]), seed=0)
        >>> sorted(stream.between(0, 3).tolist()), len(stream.between(2, 9))
        ([3, 5, 7], 7)
    """

    def __init__(self, indices: np.ndarray, seed: int):
        self.indices = np.asarray(indices)
        self.seed = seed
        self._last: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        """Return the length of one permutation."""
        return len(self.indices)

    def between(self, start: int, stop: int) -> np.ndarray:
        """Return the indices at positions ``start`` to ``stop`` of the stream."""
        pieces = []
        while start < stop:
            number, offset = divmod(start, len(self))
            piece = self._permuted(number)[offset : offset + stop - start]
            pieces.append(piece)
            start += len(piece)
        return np.concatenate(pieces) if pieces else self.indices[:0]

    def _permuted(self, number: int) -> np.ndarray:
        if self._last is None or self._last[0] != number:
            generator = np.random.default_rng([self.seed, number])
            self._last = (number, generator.permutation(self.indices))
        return self._last[1]


class EqualBatches:
    """Batches with equal numbers of structures.

    Args:
        stream: the stream to cut into batches.
        batch_size: number of structures per batch and rank.
        world_size: number of ranks; each takes one batch per step.

    Example:
        >>> batches = EqualBatches(Permutations(np.arange(10), seed=0), batch_size=4, world_size=2)
        >>> len(batches.batch(step=3, rank=1)), batches.drawn(step=3)
        (4, 24)
    """

    def __init__(self, stream: Permutations, batch_size: int, world_size: int = 1):
        self.stream = stream
        self.batch_size = batch_size
        self.world_size = world_size

    def batch(self, step: int, rank: int = 0) -> np.ndarray:
        """Return the indices of a rank's batch at a step, counted from 0."""
        start = (step * self.world_size + rank) * self.batch_size
        return self.stream.between(start, start + self.batch_size)

    def drawn(self, step: int) -> int:
        """Return the number of structures that all ranks together draw before a step."""
        return step * self.world_size * self.batch_size


class LimitedBatches:
    """Batches as large as the limits allow, of similar size on all ranks.

    A step takes as much of the stream as fits into one batch per rank. Where a step begins depends
    on all steps before it, so steps are found one permutation after the other, and only two
    integers per permutation are stored.

    Args:
        stream: the stream to cut into batches.
        batch_size: largest number of structures per batch and rank.
        limits: other limits of a batch.
        world_size: number of ranks; each takes one batch per step.

    Example:
        >>> atoms = Limit("atoms_per_batch", "atoms", 100, sizes=np.array([60, 60, 30, 30]))
        >>> stream = Permutations(np.arange(4), seed=0)
        >>> batches = LimitedBatches(stream, batch_size=8, limits=[atoms])
        >>> bool(atoms.sizes[batches.batch(step=0)].sum() <= 100)
        True
    """

    def __init__(
        self,
        stream: Permutations,
        batch_size: int,
        limits: Sequence[Limit],
        world_size: int = 1,
    ):
        self.stream = stream
        self.batch_size = batch_size
        self.limits = limits
        self.world_size = world_size
        # Block n holds the steps that end within permutation n. Stored are the first step of each
        # block and the position where it begins.
        self._blocks = [(0, 0)]
        self._cuts: tuple[int, list[int]] | None = None

    def batch(self, step: int, rank: int = 0) -> np.ndarray:
        """Return the indices of a rank's batch at a step, counted from 0."""
        places = self._batches(step)
        indices = self.stream.between(places[0], places[-1])
        if self.world_size == 1:
            return indices
        return indices[self._share(indices, np.array(places) - places[0])[rank]]

    def drawn(self, step: int) -> int:
        """Return the number of structures that all ranks together draw before a step."""
        return self._batches(step)[0]

    def _batches(self, step: int) -> list[int]:
        """Return the positions where a step's batches begin, and where the last one ends."""
        while self._blocks[-1][0] <= step:
            first, place = self._blocks[-1]
            cuts = self._cut(len(self._blocks) - 1)
            steps = (len(cuts) - 1) // self.world_size
            self._blocks.append((first + steps, place + cuts[steps * self.world_size]))
        block = bisect_right(self._blocks, step, key=lambda block: block[0]) - 1
        first, place = self._blocks[block]
        start = (step - first) * self.world_size
        return [place + cut for cut in self._cut(block)[start : start + self.world_size + 1]]

    def _cut(self, block: int) -> list[int]:
        """Cut a block into batches, without the last one, which the next permutation continues."""
        if self._cuts is None or self._cuts[0] != block:
            indices = self.stream.between(self._blocks[block][1], (block + 1) * len(self.stream))
            self._cuts = (block, cut(indices, self.batch_size, self.limits)[:-1])
        return self._cuts[1]

    def _share(self, indices: np.ndarray, cuts: np.ndarray) -> list[np.ndarray]:
        """Distribute a step's structures evenly among the ranks, so that none waits for the others.

        In the rare case that the last ones fit nowhere, batches stay as they were cut.
        """
        counts = np.ones_like(indices)
        sizes = np.stack([counts, *(each.sizes[indices] for each in self.limits)], axis=1)
        largest = np.array([self.batch_size, *(each.largest for each in self.limits)])
        shares = distribute(sizes, largest, self.world_size)
        return np.split(np.arange(len(indices)), cuts[1:-1]) if shares is None else shares


def distribute(sizes: np.ndarray, largest: np.ndarray, ranks: int) -> list[np.ndarray] | None:
    """Distribute structures evenly among ranks.

    In descending order of size, each structure goes to the rank with the smallest load that has
    room for it.

    Args:
        sizes: sizes of each structure, ``[structures, kinds]`` integers; the first kind takes room,
            but is no load.
        largest: the room of a rank for each kind, ``[kinds]``.
        ranks: number of ranks.

    Returns:
        The positions of the structures of each rank, in order; None if some fit nowhere.

    Example:
        >>> sizes = np.array([[1, 60], [1, 30], [1, 30]])
        >>> [share.tolist() for share in distribute(sizes, np.array([8, 100]), ranks=2)]
        [[0], [1, 2]]
    """
    loads = sizes[:, 1:] / largest[1:]
    sums = np.zeros((ranks, len(largest)), dtype=np.int64)
    rank_of = np.empty(len(sizes), dtype=np.int64)
    for i in np.argsort(-loads.max(axis=1), kind="stable"):
        room = (sums + sizes[i] <= largest).all(axis=1)
        if not room.any():
            return None
        load = (sums[:, 1:] / largest[1:]).max(axis=1)
        rank_of[i] = np.argmin(np.where(room, load, np.inf))
        sums[rank_of[i]] += sizes[i]
    return [np.flatnonzero(rank_of == rank) for rank in range(ranks)]


def fewest_structures(indices: np.ndarray, batch_size: int, limits: Sequence[Limit]) -> int:
    """Return how many structures every batch holds at least.

    Args:
        indices: the structures that batches are drawn from, ``[structures]`` integers.
        batch_size: maximum number of structures per batch.
        limits: further limits on a batch.

    Example:
        >>> atoms = Limit("max_atoms", "atoms", 130, sizes=np.array([60, 64, 30, 30]))
        >>> fewest_structures(np.arange(4), batch_size=8, limits=[atoms])
        2
    """
    room = (each.largest // int(each.sizes[indices].max()) for each in limits)
    return max(min(batch_size, len(indices), *room), 1)


def cut(indices: np.ndarray, batch_size: int, limits: Sequence[Limit]) -> list[int]:
    """Cut indices into consecutive batches, each as large as possible.

    Args:
        indices: indices of structures in order, ``[structures]`` integers.
        batch_size: maximum number of structures per batch.
        limits: further limits on a batch. A structure that exceeds one forms a batch on its own.

    Returns:
        The position where each batch begins, followed by the number of indices.
    """
    count = len(indices)
    # For every structure, the end of a batch that begins with it.
    ends = np.minimum(np.arange(count) + batch_size, count)
    for limit in limits:
        sums = np.concatenate([[0], np.cumsum(limit.sizes[indices], dtype=np.int64)])
        fitting = np.searchsorted(sums, sums[:-1] + limit.largest, side="right") - 1
        ends = np.minimum(ends, fitting)
    ends = np.maximum(ends, np.arange(count) + 1)
    cuts = [0]
    while cuts[-1] < count:
        cuts.append(int(ends[cuts[-1]]))
    return cuts
