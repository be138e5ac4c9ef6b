"""Limits on batches from the settings, checked before training begins."""

import json
import logging
from pathlib import Path

import numpy as np

from irrepress.core.errors import UserError
from irrepress.core.files import atomic_path
from irrepress.data.neighbours import count_edges
from irrepress.data.store import StructureStore
from irrepress.training.batches import Limit
from irrepress.training.config import Training

logger = logging.getLogger(__name__)


def make_limits(
    store: StructureStore, settings: Training, cutoff: float, work_dir: Path
) -> list[Limit]:
    """Return the limits set in the config, with the size of every structure.

    Args:
        store: the structures.
        settings: the training's settings.
        cutoff: the model's cutoff in Å.
        work_dir: directory that caches the numbers of edges, so that they are counted only once.

    Raises:
        UserError: if a structure exceeds a limit.
    """
    limits = []
    if settings.max_atoms is not None:
        limits.append(Limit("max_atoms", "atoms", settings.max_atoms, store.num_atoms))
    if settings.max_edges is not None:
        edges = _edges(store, cutoff, settings.workers, Path(work_dir) / "edges.npz")
        limits.append(Limit("max_edges", "edges", settings.max_edges, edges))
    for limit in limits:
        _check(limit, store)
    return limits


def _check(limit: Limit, store: StructureStore) -> None:
    indices = _used(store)
    sizes = limit.sizes[indices]
    worst = int(np.argmax(sizes))
    if sizes[worst] <= limit.largest:
        return
    others = int((sizes > limit.largest).sum()) - 1
    raise UserError(
        f"{store.path}: structure {indices[worst]} has {sizes[worst]} {limit.unit}, more than "
        f"{limit.key}: {limit.largest} allows in a batch"
        + (f" ({others} others are too large as well)" if others else "")
        + f"; raise {limit.key} to {sizes[worst]} or more, or remove such structures"
    )


def _used(store: StructureStore) -> np.ndarray:
    """Return the indices of the structures that training reads."""
    return np.concatenate([store.splits["train"], store.splits["valid"]])


def _edges(store: StructureStore, cutoff: float, workers: int, cache: Path) -> np.ndarray:
    """Return the number of edges per structure, ``[structures]`` int32; 0 for unused structures."""
    used = _used(store)
    status = store.path.stat()
    key = json.dumps(
        [str(store.path.resolve()), status.st_size, status.st_mtime_ns, cutoff, len(used)]
    )
    counts = _read(cache, key)
    if counts is None:
        counts = count_edges(store, used, cutoff, workers)
        with atomic_path(cache) as temporary:
            np.savez(temporary, key=key, counts=counts)
    else:
        logger.info("%s: using the cached numbers of edges", store.path)
    edges = np.zeros(len(store), dtype=np.int32)
    edges[used] = counts
    return edges


def _read(cache: Path, key: str) -> np.ndarray | None:
    """Return the cached counts; None if there are none or their key differs."""
    try:
        with np.load(cache) as content:
            return content["counts"] if content["key"] == key else None
    # Damaged files raise exceptions of many types, and counting again is always safe.
    except Exception:
        return None
