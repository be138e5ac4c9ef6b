"""Remarks on structures without labels, which no calculation has proved to be sound."""

from collections.abc import Iterator

import numpy as np
from ase.cell import Cell
from ase.data import covalent_radii

from irrepress.core.neighbours import Neighbours, neighbour_list
from irrepress.core.structure import Structure
from irrepress.data.geometry import cell_heights

# Bonds are shorter than this multiple of the sum of the covalent radii, and longer than that.
_BONDED, _TOO_CLOSE = 1.25, 0.6
_HYDROGEN, _CARBON, _OXYGEN = 1, 6, 8
# Cutoffs of published models are 4.5 to 6 Å.
_THIN = 5.0  # Å
# Two bonds of a carbon atom at a wider angle need no third one, as in carbon dioxide.
_LINEAR = np.cos(np.radians(150))
# Three bonds in a plane, or bent as in C60 (0.6), need no fourth one: the sum of their unit vectors
# is shorter than this. In a tetrahedron it is 1.
_PLANAR = 0.8

HYDROGEN_MISSING = (
    "there is no hydrogen, and {}; diffraction often does not show hydrogen: add it, or labels are "
    "those of another compound"
)


def remarks_on_unlabelled(structure: Structure) -> Iterator[str]:
    """Yield remarks on a geometry that may be faulty.

    Args:
        structure: a structure that passes `irrepress.data.checks.check_structure`.
    """
    radii = covalent_radii[structure.numbers]
    near = neighbour_list(structure, 2 * _BONDED * float(radii.max()))
    distances = np.linalg.norm(near.vectors, axis=1)
    share = distances / (radii[near.index[0]] + radii[near.index[1]])
    if (share < _TOO_CLOSE).any():
        yield (
            f"atoms closer than {_TOO_CLOSE} of a bond length, as where a disordered crystal lists "
            "an atom twice; remove one of them"
        )
    if _HYDROGEN not in structure.numbers:
        yield from _hydrogen(structure, near, share < _BONDED)


def remarks_on_small_cells(structure: Structure) -> Iterator[str]:
    """Yield a remark on a cell within the cutoff of models, which users ask about."""
    if structure.pbc.any() and _thinnest(structure) < _THIN:
        yield (
            f"cell thinner than {_THIN:g} Å, which is fine: models see its images, and what is "
            "made from it uses supercells where it needs them"
        )


def _hydrogen(structure: Structure, near: Neighbours, bonded: np.ndarray) -> Iterator[str]:
    """Yield a remark if bonds to hydrogen seem to be missing."""
    first, vectors = near.index[0][bonded], near.vectors[bonded]
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    bonds = np.bincount(first, minlength=len(structure))
    sums = np.zeros((len(structure), 3))
    np.add.at(sums, first, directions)
    lengths = np.linalg.norm(sums, axis=1)
    carbon = structure.numbers == _CARBON
    bent = (bonds == 2) & (lengths**2 > 2 + 2 * _LINEAR)
    pyramidal = (bonds == 3) & (lengths > _PLANAR)
    partners = structure.numbers[near.index[1][bonded]]
    to_carbon = np.bincount(first[partners == _CARBON], minlength=len(structure))
    if (carbon & (bent | pyramidal | ((bonds == 1) & (to_carbon == 1)))).any():
        yield HYDROGEN_MISSING.format("carbon atoms lack bonds")
    if len(structure) > 1 and ((structure.numbers == _OXYGEN) & (bonds == 0)).any():
        yield HYDROGEN_MISSING.format("oxygen atoms are bound to nothing, as in a hydrate")


def _thinnest(structure: Structure) -> float:
    given = structure.cell.any(axis=1)
    cell = structure.cell if given.all() else Cell(structure.cell).complete().array
    return float(cell_heights(cell)[structure.pbc].min())
