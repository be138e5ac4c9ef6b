"""Crystals with defects: vacancies, interstitials and surfaces."""

from math import gcd

import numpy as np
from ase import Atom, Atoms
from ase.build import surface
from scipy.spatial import Voronoi, cKDTree

from irrepress.core.structure import Structure
from irrepress.data.dynamics import supercell
from irrepress.data.geometry import cell_heights
from irrepress.data.sources.config import Defective
from irrepress.data.sources.drawing import Drawing, Turn

# Slabs are at least this thick, and have this much vacuum on either side, in Å.
_THICKNESS, _VACUUM = 7.0, 7.0
# A slab has at most this many times the atoms that are asked for, or those of its parent.
_LARGER = 2


class Defects(Drawing[Defective]):
    """Crystals with vacancies, interstitials and surfaces in turn; see the base class.

    Structures that are not periodic in three directions are left out.

    Example:
        >>> from irrepress.catalogue.model_ref import ModelRef
        >>> labels = ModelRef(family="sevennet", checkpoint="7net-0")
        >>> config = Defective(source="defective", of="silicon", count=3, labels=labels)
        >>> print(Defects(store, config, "defective"))
        3 structures with defects (vacancies, interstitials, surfaces) from 3 structures
    """

    unsuitable = "they are not periodic in three directions"

    @property
    def what(self) -> str:  # type: ignore[override]
        """What is drawn, for messages."""
        return f"structures with defects ({', '.join(self.config.kinds)})"

    def is_suitable(self, structure: Structure) -> bool:
        """Return whether a structure is a crystal."""
        return bool(structure.pbc.all())

    def draw(
        self, parent: Structure, turn: Turn, amplitude: float, rng: np.random.Generator
    ) -> Atoms | None:
        """Make one defect in a supercell; see the base class."""
        kind, _, _ = turn.among(self.config.kinds)
        if kind == "surfaces":
            return slab(parent, self.config.atoms, rng)
        atoms = supercell(parent, self.config.atoms)
        if kind == "interstitials":
            sites = voids(atoms)
            element = int(rng.choice(np.unique(atoms.numbers)))
            atoms.append(Atom(element, sites[rng.integers(len(sites))]))
        elif len(atoms) > 1:
            del atoms[int(rng.integers(len(atoms)))]
        return atoms


def voids(atoms: Atoms) -> np.ndarray:
    """Return the largest voids of a crystal, ``[voids, 3]`` in Å: at least 90 % of the largest.

    They are vertices of the Voronoi cells of the atoms, which are as far as possible from all.
    """
    cell = np.array(atoms.cell)
    points = atoms.repeat(3).positions - cell.sum(axis=0)  # the cell with its images around it
    vertices = Voronoi(points).vertices
    fractional = vertices @ np.linalg.inv(cell)
    inside = vertices[((fractional > -1e-6) & (fractional < 1 - 1e-6)).all(axis=1)]
    radii, _ = cKDTree(points).query(inside)
    return inside[radii > 0.9 * radii.max()]


def slab(parent: Structure, least: int, rng: np.random.Generator) -> Atoms | None:
    """Cut a slab along a random plane of low index, at a random height.

    Args:
        parent: a crystal.
        least: the slab is repeated along its surface up to this number of atoms.
        rng: for plane and height.

    Returns:
        The slab, periodic along its surface; None if it would be too large.
    """
    bulk = parent.to_atoms()
    bulk.positions += rng.random(3) @ np.array(bulk.cell)  # where the crystal ends
    bulk.wrap()
    indices = rng.integers(-1, 2, size=3)
    if not indices.any():
        return None
    indices = indices // gcd(*map(int, indices))
    one = surface(bulk, tuple(map(int, indices)), 1, periodic=True)
    height = float(cell_heights(np.array(one.cell))[2])
    most = _LARGER * max(least, len(bulk))
    layers = max(1, min(int(np.ceil(_THICKNESS / height)), most // len(one)))
    if layers * len(one) > most or layers * height < _THICKNESS / 2:
        return None
    made = surface(bulk, tuple(map(int, indices)), layers, vacuum=_VACUUM, periodic=True)
    made.pbc = (True, True, False)
    return supercell(Structure.unlabelled(made), least)
