"""Numbers of edges in a dataset."""

from functools import partial
from itertools import chain

import numpy as np

from irrepress.core.neighbours import geometry_for_vesin
from irrepress.core.progress import tracked
from irrepress.core.vesin import NeighborList
from irrepress.data.parallel import ordered_map
from irrepress.data.store import StructureStore

# Number of structures that a process counts at a time.
_STRUCTURES_PER_TASK = 256


def count_edges(
    store: StructureStore, indices: np.ndarray, cutoff: float, workers: int = 0
) -> np.ndarray:
    """Count the edges of structures, with a progress bar.

    Args:
        store: the structures, which are read a few hundred at a time.
        indices: indices of structures, fastest in ascending order.
        cutoff: cutoff radius in Å.
        workers: number of processes; 0 or 1: this process.

    Returns:
        Number of edges of each structure, in the order of ``indices``, int32.

    Raises:
        UserError: if the store is damaged or a process was killed.
    """
    indices = np.asarray(indices, dtype=np.int64)
    tasks = [
        indices[start : start + _STRUCTURES_PER_TASK]
        for start in range(0, len(indices), _STRUCTURES_PER_TASK)
    ]
    counts = chain.from_iterable(ordered_map(partial(_count, store, cutoff), tasks, workers))
    counted = tracked(counts, "counting edges", "structures", total=len(indices))
    return np.fromiter(counted, dtype=np.int32, count=len(indices))


def _count(store: StructureStore, cutoff: float, indices: np.ndarray) -> list[int]:
    # Each pair in one direction is sufficient for counting, and takes half the time.
    search = NeighborList(cutoff=cutoff, full_list=False, n_threads=1)
    return [
        2 * len(search.compute(*geometry_for_vesin(structure), quantities="P", copy=False)[0])
        for structure in store.read(indices, groups=False)
    ]
