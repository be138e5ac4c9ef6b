"""Neighbour lists: the edges of a structure's graph, and how many there are in a dataset.

vesin makes the lists. Of the libraries at hand it is the fastest (half the time of matscipy's
and a fiftieth of ASE's on published frames) and the most careful: it is right for cells smaller
than the cutoff, skewed and left-handed cells, any mixture of periodic and open directions,
vectors of zero along open directions, and atoms outside the cell.
"""

from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np
from vesin import NeighborList

from irrepress.structures.parallel import ordered_map
from irrepress.structures.progress import tracked
from irrepress.structures.store import StructureStore
from irrepress.structures.structure import Structure

# What a process counts at a time.
_STRUCTURES_PER_TASK = 256


@dataclass(frozen=True)
class Neighbours:
    """Pairs of atoms that are closer than a cutoff, each in both directions.

    Images of atoms take part in periodic directions, those of the atom itself too; an atom is
    no neighbour of itself.

    Attributes:
        index: first and second atom of every edge, ``[2, edges]`` int64; the first ascends.
        vectors: from the first to the second atom in Å, ``[edges, 3]`` float64.
        shifts: image of the second atom in lattice vectors, ``[edges, 3]`` int32:
            ``vectors = positions[index[1]] - positions[index[0]] + shifts @ cell``.
    """

    index: np.ndarray
    vectors: np.ndarray
    shifts: np.ndarray

    def __len__(self) -> int:
        return len(self.vectors)


def neighbour_list(structure: Structure, cutoff: float) -> Neighbours:
    """Find the neighbours of every atom.

    Args:
        structure: any structure; vectors of its cell along open directions do not matter.
        cutoff: in Å.
    """
    # One thread: the processes that build graphs share the cores already.
    search = NeighborList(cutoff=cutoff, full_list=True, sorted=True, n_threads=1)
    pairs, vectors, shifts = search.compute(*_geometry(structure), quantities="PDS")
    return Neighbours(np.ascontiguousarray(pairs.T.astype(np.int64)), vectors, shifts)


def count_edges(
    store: StructureStore, indices: np.ndarray, cutoff: float, workers: int = 0
) -> np.ndarray:
    """Count the edges of structures, with a progress bar.

    Args:
        store: the structures; they are read in tasks of a few hundred.
        indices: which of them; ascending ones are read fastest.
        cutoff: in Å.
        workers: number of processes that count; with 0 or 1 it is this one.

    Returns:
        Edges of each structure, in the order of ``indices``, int32.

    Raises:
        UserError: the store is damaged, or a process was killed.
    """
    indices = np.asarray(indices, dtype=np.int64)
    tasks = [
        indices[start : start + _STRUCTURES_PER_TASK]
        for start in range(0, len(indices), _STRUCTURES_PER_TASK)
    ]
    counts = chain.from_iterable(ordered_map(partial(_count, store, cutoff), tasks, workers))
    counts = tracked(counts, "counting edges", "structures", total=len(indices))
    return np.fromiter(counts, dtype=np.int32, count=len(indices))


def _count(store: StructureStore, cutoff: float, indices: np.ndarray) -> list[int]:
    # Each pair in one direction only: that is enough to count, and takes half the time.
    search = NeighborList(cutoff=cutoff, full_list=False, n_threads=1)
    return [
        2 * len(search.compute(*_geometry(structure), quantities="P", copy=False)[0])
        for structure in store.read(indices, groups=False)
    ]


def _geometry(structure: Structure) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # vesin wants positions and cell in one type.
    positions, cell = (np.asarray(a, np.float64) for a in (structure.positions, structure.cell))
    return positions, cell, structure.pbc
