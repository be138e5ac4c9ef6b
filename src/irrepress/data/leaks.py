"""Leaks: structures that occur in two splits with nearly the same positions.

Splits keep known groups and compositions together; this check finds other related structures by
comparing positions. Two structures of the same composition are considered equal if all their sorted
pair distances agree, which do not depend on rotation, translation, order of atoms or choice of the
cell. If every atom moves by at most a tolerance, no sorted distance changes by more than twice
that, so no such pair is missed.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.spatial import KDTree
from scipy.spatial.distance import pdist

from irrepress.core.neighbours import neighbour_list
from irrepress.core.progress import tracked
from irrepress.core.structure import Structure
from irrepress.data.parallel import ordered_map
from irrepress.data.splits import PARTS
from irrepress.data.store import StructureStore

# Number of pair distances per atom to compare, and cutoffs to find them.
_PAIRS_PER_ATOM = 6
_FIRST_CUTOFF = 5.0  # Å
_LARGEST_CUTOFF = 20.0
# Number of distances held in memory for every structure; the others are recomputed.
_SAMPLES = 12
# Number of structures that a process reads at a time.
_PER_TASK = 256
# Maximum number of candidates to compare in full, per structure.
_CANDIDATES = 16


@dataclass(frozen=True)
class Leak:
    """A structure that occurs in two splits.

    Attributes:
        index: index of the structure in the valid or test split.
        part: the split, valid or test.
        other: index of the closest such structure in another split.
        other_part: the other split.
        difference: maximum difference between sorted distances in Å.

    Example:
        >>> list(find_leaks(store, tolerance=1e-3))
        []
    """

    index: int
    part: str
    other: int
    other_part: str
    difference: float


def find_leaks(store: StructureStore, tolerance: float, workers: int = 1) -> Iterator[Leak]:
    """Yield valid and test structures that also occur in train, and test structures in valid.

    This needs about 130 bytes per structure, and reads the store once and candidates again.

    Args:
        store: any store.
        tolerance: distance in Å that an atom may have moved.
        workers: number of processes that compute distances.
    """
    keys, samples = _fingerprints(store, workers)
    order = np.argsort(keys, kind="stable")
    part_of = np.full(len(store), -1, dtype=np.int8)
    for number, part in enumerate(PARTS):
        part_of[store.splits[part]] = number
    _, starts = np.unique(keys[order], return_index=True)
    for members in np.split(order, starts[1:]):
        for later in (1, 2):
            own = members[part_of[members] == later]
            others = members[(part_of[members] < later) & (part_of[members] >= 0)]
            if len(own) and len(others):
                yield from _leaks_between(store, own, others, samples, part_of, tolerance)


def sorted_distances(structure: Structure) -> np.ndarray:
    """Return the sorted shortest pair distances in Å, at most six per atom, ``[pairs]``.

    Pairs with each periodic image count; there are fewer only if there are no more pairs within 20
    Å.
    """
    count = _PAIRS_PER_ATOM * len(structure)
    if not structure.pbc.any():
        distances = pdist(structure.positions)
        if len(distances) > count:
            distances = np.partition(distances, count)[:count]
        return np.sort(distances)
    cutoff = _FIRST_CUTOFF
    while True:
        vectors = neighbour_list(structure, cutoff).vectors
        # Every pair comes twice, once in each direction.
        distances = np.sort(np.linalg.norm(vectors, axis=1))[::2]
        if len(distances) >= count or cutoff >= _LARGEST_CUTOFF:
            return distances[:count]
        cutoff *= 1.5


def _fingerprints(store: StructureStore, workers: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a key for the composition and a few sorted distances of every structure."""
    keys = np.empty(len(store), dtype=np.uint64)
    samples = np.zeros((len(store), _SAMPLES))
    starts = range(0, len(store), _PER_TASK)
    tasks = [np.arange(start, min(start + _PER_TASK, len(store))) for start in starts]
    results = ordered_map(partial(_fingerprints_of, store), tasks, workers)
    name = f"comparing positions of {store.path.name}"
    counted = tracked(results, name, f"times {_PER_TASK} structures", len(tasks))
    for task, (task_keys, task_samples) in zip(tasks, counted, strict=True):
        keys[task], samples[task] = task_keys, task_samples
    return keys, samples


def _fingerprints_of(store: StructureStore, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    keys = np.empty(len(indices), dtype=np.uint64)
    samples = np.zeros((len(indices), _SAMPLES))
    for row, structure in enumerate(store.read(indices, groups=False)):
        content = np.sort(structure.numbers).tobytes() + structure.pbc.any().tobytes()
        digest = hashlib.blake2b(content, digest_size=8).digest()
        keys[row] = int.from_bytes(digest, "big")
        if len(distances := sorted_distances(structure)):
            samples[row] = distances[_ranks(len(distances))]
    return keys, samples


def _ranks(count: int) -> np.ndarray:
    """Return ranks of sorted distances, denser for short ones, which are more specific."""
    return np.round((count - 1) * np.linspace(0, 1, _SAMPLES) ** 2).astype(np.int64)


def _leaks_between(
    store: StructureStore,
    own: np.ndarray,
    others: np.ndarray,
    samples: np.ndarray,
    part_of: np.ndarray,
    tolerance: float,
) -> Iterator[Leak]:
    tree = KDTree(samples[others])
    nearest, found = tree.query(
        samples[own],
        k=np.arange(1, min(_CANDIDATES, len(others)) + 1),
        p=np.inf,
        distance_upper_bound=2 * tolerance * (1 + 1e-9),
    )
    for index, near, candidates in zip(own, nearest, found, strict=True):
        candidates = others[candidates[np.isfinite(near)]]
        if not len(candidates):
            continue
        structures = store.read([index, *candidates], groups=False)
        distances = [sorted_distances(structure) for structure in structures]
        for candidate, other in zip(candidates, distances[1:], strict=True):
            difference = _difference(distances[0], other)
            if difference <= 2 * tolerance:
                parts = (PARTS[part_of[index]], PARTS[part_of[candidate]])
                yield Leak(int(index), parts[0], int(candidate), parts[1], difference)
                break


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    if len(one) != len(other):  # a pair at the largest cutoff
        shortest = min(len(one), len(other))
        one, other = one[:shortest], other[:shortest]
    return float(np.abs(one - other).max(initial=0.0))
