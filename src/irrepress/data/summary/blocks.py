"""Blocks of consecutive structures, with concatenated atoms."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ase.geometry import complete_cell

from irrepress.core.structure import Structure
from irrepress.data.geometry import cell_heights

ATOMS_PER_BLOCK = 8192
ELEMENTS = 119  # columns of counts: atomic numbers 0 to 118


@dataclass(frozen=True)
class Block:
    """Consecutive structures of a store; missing labels are NaN.

    Attributes:
        first: index of the first structure in the store.
        sizes: number of atoms of every structure, ``[structures]``.
        numbers: atomic numbers, ``[atoms]``.
        positions: positions in Å, ``[atoms, 3]``.
        forces: forces in eV/Å, ``[atoms, 3]``.
        cells: lattice vectors as rows in Å, ``[structures, 3, 3]``.
        pbc: periodicity along them, ``[structures, 3]``.
        energies: total energies in eV, ``[structures]``.
        stresses: stresses in eV/Å^3 in Voigt order, ``[structures, 6]``.

    Example:
        >>> block = Block.of(structures, first=0)
        >>> len(block), block.counts[:, 14]
        (4, array([2, 2, 2, 2]))
    """

    first: int
    sizes: np.ndarray
    numbers: np.ndarray
    positions: np.ndarray
    forces: np.ndarray
    cells: np.ndarray
    pbc: np.ndarray
    energies: np.ndarray
    stresses: np.ndarray

    @classmethod
    def of(cls, structures: list[Structure], first: int) -> "Block":
        """Join consecutive structures of a store."""
        return cls(
            first=first,
            sizes=np.array([len(s) for s in structures]),
            numbers=np.concatenate([s.numbers for s in structures]),
            positions=np.concatenate([s.positions for s in structures]),
            forces=np.concatenate([s.forces for s in structures]),
            cells=np.stack([s.cell for s in structures]),
            pbc=np.stack([s.pbc for s in structures]),
            energies=np.array([s.energy for s in structures]),
            stresses=np.stack([s.stress for s in structures]),
        )

    def __len__(self) -> int:
        return len(self.sizes)

    @cached_property
    def indices(self) -> np.ndarray:
        """Indices of the structures in the store, ``[structures]``."""
        return self.first + np.arange(len(self))

    @cached_property
    def starts(self) -> np.ndarray:
        """First atom of every structure, ``[structures]``."""
        return np.cumsum(self.sizes) - self.sizes

    @cached_property
    def counts(self) -> np.ndarray:
        """Atoms by structure and atomic number, ``[structures, 119]``."""
        owner = np.repeat(np.arange(len(self)), self.sizes)
        places = owner * ELEMENTS + self.numbers
        return np.bincount(places, minlength=len(self) * ELEMENTS).reshape(-1, ELEMENTS)

    @cached_property
    def completed_cells(self) -> np.ndarray:
        """Cells with unit vectors in place of those that are zero, ``[structures, 3, 3]`` in Å."""
        cells = self.cells.copy()
        absent = np.asarray(~cells.any(axis=2))
        cells[absent.all(axis=1)] = np.eye(3)
        for index in np.flatnonzero(absent.any(axis=1) & ~absent.all(axis=1)):
            cells[index] = complete_cell(cells[index])
        return cells

    @cached_property
    def heights(self) -> np.ndarray:
        """Distance between opposite faces of the cell, ``[structures, 3]`` in Å.

        Infinite along open directions, zero if a periodic cell has no extent.
        """
        heights = cell_heights(self.completed_cells)
        heights[~self.cells.any(axis=2)] = 0
        return np.where(self.pbc, heights, np.inf)


def blocks(structures: Iterable[Structure]) -> Iterator[Block]:
    """Cut a stream of structures into blocks of about 8192 atoms."""
    first, atoms = 0, 0
    pending: list[Structure] = []
    for structure in structures:
        pending.append(structure)
        atoms += len(structure)
        if atoms >= ATOMS_PER_BLOCK:
            yield Block.of(pending, first)
            first, atoms, pending = first + len(pending), 0, []
    if pending:
        yield Block.of(pending, first)
