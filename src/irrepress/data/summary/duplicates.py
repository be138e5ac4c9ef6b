"""Structures that occur twice: found by 64-bit keys, confirmed by comparing atoms."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from irrepress.core.structure import Structure
from irrepress.data.store import StructureStore
from irrepress.data.summary.blocks import Block

# Keys round positions to steps of this length, in Å. Copies of a structure that differ by round-off
# have different keys only if a coordinate lies at the edge of a step: the longer the step, the
# rarer. Copies are confirmed afterwards.
_STEP = 1e-4
# Round numbers (0, 0.25 Å, ...) must not lie at an edge.
_OFFSET = 0.29


@dataclass(frozen=True)
class Duplicate:
    """A structure that repeats an earlier one.

    Attributes:
        index: its index in the store.
        original: index of the earlier one.
        energy_difference: difference of the energies in eV/atom; NaN without labels.

    Example:
        >>> keys = np.zeros(len(store), dtype=np.uint64)  # compare all structures
        >>> list(find_duplicates(store, keys, tolerance=1e-6))
        []
    """

    index: int
    original: int
    energy_difference: float


def structure_keys(block: Block) -> np.ndarray:
    """Return a key for every structure, equal for equal atoms, ``[structures]`` uint64."""
    positions = _steps(block.positions)
    cells = _steps(block.cells)
    keys = np.empty(len(block), dtype=np.uint64)
    for row, (start, size) in enumerate(zip(block.starts, block.sizes, strict=True)):
        digest = hashlib.blake2b(digest_size=8)
        digest.update(block.numbers[start : start + size].astype(np.uint8).tobytes())
        digest.update(positions[start : start + size].tobytes())
        digest.update(cells[row].tobytes())
        digest.update(block.pbc[row].tobytes())
        keys[row] = int.from_bytes(digest.digest(), "big")
    return keys


def find_duplicates(
    store: StructureStore, keys: np.ndarray, tolerance: float
) -> Iterator[Duplicate]:
    """Yield structures that repeat an earlier one; those whose keys agree are read again.

    Args:
        store: the dataset.
        keys: `structure_keys` of all its structures, ``[structures]``.
        tolerance: largest difference of a coordinate in Å.
    """
    order = np.argsort(keys, kind="stable")
    _, first, counts = np.unique(keys[order], return_index=True, return_counts=True)
    for start, count in zip(first[counts > 1], counts[counts > 1], strict=True):
        originals: list[tuple[int, Structure]] = []
        for index in order[start : start + count].tolist():
            structure = store[index]
            for original, other in originals:
                if _same(structure, other, tolerance):
                    difference = (structure.energy - other.energy) / len(structure)
                    yield Duplicate(index, original, abs(difference))
                    break
            else:
                originals.append((index, structure))


def _steps(lengths: np.ndarray) -> np.ndarray:
    return np.floor(lengths / _STEP + _OFFSET).astype(np.int64)


def _same(one: Structure, other: Structure, tolerance: float) -> bool:
    return (
        np.array_equal(one.numbers, other.numbers)
        and np.array_equal(one.pbc, other.pbc)
        and np.abs(one.positions - other.positions).max() <= tolerance
        and np.abs(one.cell - other.cell).max() <= tolerance
    )
