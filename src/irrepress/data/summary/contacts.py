"""Atoms that are closer than any bond."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ase.data import covalent_radii

from irrepress.core.vesin import NeighborList
from irrepress.data.checks import MIN_HEIGHT
from irrepress.data.summary.blocks import Block


@dataclass(frozen=True)
class Contact:
    """The closest two atoms of a structure, relative to their covalent radii.

    Attributes:
        index: index of the structure in the store.
        first: one of the atoms.
        second: the other one; the same for an atom and its periodic image.
        distance: distance of the two in Å.
        share: the distance relative to the sum of the covalent radii.

    Example:
        >>> (contact, *_) = close_contacts(Block.of(structures, first=0), below=1.5)
        >>> contact.index, contact.first, contact.second
        (0, 0, 1)
    """

    index: int
    first: int
    second: int
    distance: float
    share: float


def close_contacts(block: Block, below: float) -> Iterator[Contact]:
    """Yield the closest contact of every structure that has one.

    Periodic cells that are too thin for any crystal (`checks.MIN_HEIGHT`) are ignored.

    Args:
        block: the structures.
        below: fraction of the sum of the covalent radii below which atoms are in contact.
    """
    radii = covalent_radii[block.numbers]
    cutoffs = below * 2 * np.maximum.reduceat(radii, block.starts)
    # One thread: a structure has too few pairs to share.
    searches = {
        c: NeighborList(cutoff=c, full_list=False, n_threads=1) for c in np.unique(cutoffs).tolist()
    }
    for row in np.flatnonzero(block.heights.min(axis=1) >= MIN_HEIGHT).tolist():
        own = slice(block.starts[row], block.starts[row] + block.sizes[row])
        pairs, distances = searches[float(cutoffs[row])].compute(
            block.positions[own], block.cells[row], block.pbc[row], quantities="Pd"
        )
        if not len(pairs):
            continue
        shares = distances / radii[own][pairs].sum(axis=1)
        closest = int(np.argmin(shares))
        if shares[closest] < below:
            first, second = sorted(pairs[closest].tolist())
            yield Contact(
                index=block.first + row,
                first=first,
                second=second,
                distance=float(distances[closest]),
                share=float(shares[closest]),
            )
