"""Which structures of a dataset others are made from."""

import logging

import numpy as np

from irrepress.data.store import StructureStore

logger = logging.getLogger(__name__)


def usable_parents(store: StructureStore, of: str, name: str) -> np.ndarray:
    """Return the indices of structures that a dataset may be made from, ascending.

    Those of the test split are left out if the dataset has labels, because models are tested on
    them; a line in the log counts them.

    Args:
        store: the dataset.
        of: its name.
        name: name of the dataset that is made.

    Raises:
        UserError: if nothing is left.
    """
    if not any(store.labelled.values()):
        return np.arange(len(store))
    usable = np.sort(np.concatenate([store.require("train"), store.splits["valid"]]))
    if left_out := len(store) - len(usable):
        logger.info(
            "%s: %d structures of %s are not used, as they are in its test split or in none",
            name,
            left_out,
            of,
        )
    return usable


def spread(indices: np.ndarray, count: int) -> np.ndarray:
    """Return at most ``count`` indices, spread over all of them.

    >>> spread(np.arange(10), 3).tolist()
    [0, 3, 6]
    """
    if len(indices) <= count:
        return indices
    return indices[np.arange(count) * len(indices) // count]
