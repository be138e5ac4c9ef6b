"""Distances in periodic and open structures, for checks."""

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

# Up to this size, all pairs at once are faster than a neighbour list.
_ALL_PAIRS = 256


def cell_heights(cell: np.ndarray) -> np.ndarray:
    """Return the distance between opposite faces of cells along each vector, ``[..., 3]`` in Å.

    Args:
        cell: lattice vectors as rows, ``[..., 3, 3]`` in Å. Zero for a cell without volume.
    """
    normals = np.cross(np.roll(cell, -1, axis=-2), np.roll(cell, -2, axis=-2))
    areas = np.linalg.norm(normals, axis=-1)
    volume = np.abs(np.linalg.det(cell))[..., None]
    return np.divide(volume, areas, out=np.zeros_like(areas), where=areas > 0)


def closest_pair(atoms: Atoms, below: float) -> tuple[int, int, float] | None:
    """Return two atoms that are closer than a distance, the closest ones if there are several.

    Args:
        atoms: heights of the cell along periodic directions must be above twice ``below``.
        below: distance in Å.

    Returns:
        Indices of the two atoms (equal for an atom and its own image) and their distance in
        Å, or None.
    """
    if len(atoms) > _ALL_PAIRS:
        first, second, distance = neighbor_list("ijd", atoms, below)
        if not len(distance):
            return None
        closest = int(np.argmin(distance))
        return int(first[closest]), int(second[closest]), float(distance[closest])
    first, second = np.triu_indices(len(atoms), k=1)
    if not len(first):
        return None
    difference = atoms.positions[first] - atoms.positions[second]
    if atoms.pbc.any():
        # A displacement shorter than half of every height has fractional parts below a half,
        # so rounding finds it in skewed cells too. Longer ones do not matter here.
        cell = atoms.cell.complete()
        fractions = np.linalg.solve(cell.T, difference.T).T
        difference -= (np.round(fractions) * atoms.pbc) @ cell
    squares = np.einsum("ij,ij->i", difference, difference)
    closest = int(np.argmin(squares))
    distance = float(np.sqrt(squares[closest]))
    return (int(first[closest]), int(second[closest]), distance) if distance < below else None


def overlapping(atoms: Atoms, share: float) -> bool:
    """Tell whether two atoms, or an atom and its image, are closer than bonds are.

    Args:
        atoms: any atoms.
        share: of the sum of the covalent radii.
    """
    return len(neighbor_list("i", atoms, share * covalent_radii[atoms.numbers])) > 0
