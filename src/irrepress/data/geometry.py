"""Distances in periodic and open structures."""

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from irrepress.core.structure import Structure
from irrepress.core.vesin import NeighborList

# Å. vesin divides the cell into boxes of this size; much smaller ones would be too many.
_SMALLEST_CUTOFF = 1.0


def cell_heights(cell: np.ndarray) -> np.ndarray:
    """Return the distance between opposite faces of cells along each vector, ``[..., 3]`` in Å.

    Args:
        cell: lattice vectors as rows, ``[..., 3, 3]`` in Å. Zero for a cell without volume.
    """
    one, other = cell[..., [1, 2, 0], :], cell[..., [2, 0, 1], :]
    # numpy.cross takes ten times as long on a single cell.
    normals = one[..., [1, 2, 0]] * other[..., [2, 0, 1]]
    normals -= one[..., [2, 0, 1]] * other[..., [1, 2, 0]]
    areas = np.linalg.norm(normals, axis=-1)
    volume = np.abs((cell[..., 0, :] * normals[..., 0, :]).sum(-1))[..., None]
    return np.divide(volume, areas, out=np.zeros_like(areas), where=areas > 0)


def closest_pair(structure: Structure, below: float) -> tuple[int, int, float] | None:
    """Return the closest pair of atoms if it is closer than a distance, otherwise None.

    Args:
        structure: any structure; its cell must have a volume along periodic directions.
        below: distance in Å.

    Returns:
        Indices of the two atoms (equal for an atom and its own image) and their distance in
        Å, or None.
    """
    search = NeighborList(cutoff=max(below, _SMALLEST_CUTOFF), full_list=False, n_threads=1)
    pairs, distances = search.compute(
        structure.positions, structure.cell, structure.pbc, quantities="Pd"
    )
    if not len(distances):
        return None
    closest = int(np.argmin(distances))
    distance = float(distances[closest])
    first, second = sorted(map(int, pairs[closest]))
    return (first, second, distance) if distance < below else None


def overlapping(atoms: Atoms, share: float) -> bool:
    """Return whether two atoms, or an atom and its image, are closer than bonds are.

    Args:
        atoms: any atoms.
        share: limit as a fraction of the sum of the covalent radii.
    """
    return len(neighbor_list("i", atoms, share * covalent_radii[atoms.numbers])) > 0


def closeness(atoms: Atoms) -> float:
    """Return the shortest distance as a fraction of the sum of the covalent radii.

    Args:
        atoms: any atoms; periodic images are included.

    Returns:
        About 1 if atoms are bonded; at most 1.3, beyond which they are not.
    """
    farthest = 1.3
    radii = covalent_radii[atoms.numbers]
    first, second, distances = neighbor_list("ijd", atoms, farthest * radii)
    return float(np.min(distances / (radii[first] + radii[second]), initial=farthest))
