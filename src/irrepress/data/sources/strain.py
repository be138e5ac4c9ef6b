"""Random strains of periodic structures."""

import numpy as np
from ase import Atoms

from irrepress.core.structure import Structure


def periodic_directions(structure: Structure) -> np.ndarray:
    """Return an orthonormal basis of the span of the periodic vectors, ``[vectors, 3]``."""
    if structure.pbc.all():
        return np.eye(3)
    return np.linalg.qr(structure.cell[structure.pbc].T)[0].T


def draw_strain(directions: np.ndarray, largest: float, rng: np.random.Generator) -> np.ndarray:
    """Return a symmetric strain in some directions, ``[3, 3]``, components up to ``largest``."""
    components = rng.uniform(-largest, largest, size=(len(directions),) * 2)
    return directions.T @ ((components + components.T) / 2) @ directions


def deformed(atoms: Atoms, strain: np.ndarray) -> Atoms:
    """Return atoms deformed by 1 + strain, with their cell if they have one."""
    deformation = np.eye(3) + strain
    result = atoms.copy()
    result.set_cell(np.array(atoms.cell) @ deformation, scale_atoms=False)
    result.positions = atoms.positions @ deformation
    return result
