"""Structures along deformations: of all lengths, of one direction, of one angle."""

import numpy as np
from ase import Atoms

from irrepress.core.structure import Structure
from irrepress.data.dynamics import supercell
from irrepress.data.sources.config import Deformation, Strained
from irrepress.data.sources.drawing import Drawing, Turn
from irrepress.data.sources.strain import deformed, periodic_directions


class Deformations(Drawing[Strained]):
    """Structures at evenly spaced strains of several kinds; see the base class.

    Structures without periodic directions are left out.

    Example:
        >>> from irrepress.catalogue.model_ref import ModelRef
        >>> labels = ModelRef(family="sevennet", checkpoint="7net-0")
        >>> config = Strained(source="strained", of="silicon", count=6, labels=labels)
        >>> print(Deformations(store, config, "strained"))
        6 strained structures from 3 structures
    """

    what = "strained structures"

    def is_suitable(self, structure: Structure) -> bool:
        """Return whether a structure is periodic."""
        return bool(structure.pbc.any())

    def draw(
        self, parent: Structure, turn: Turn, amplitude: float, rng: np.random.Generator
    ) -> Atoms:
        """Deform a supercell; see the base class."""
        kind, step, steps = turn.among(self.config.kinds)
        spaced = np.linspace(-1, 1, steps)[step] if steps > 1 else rng.uniform(-1, 1)
        atoms = supercell(parent, self.config.atoms)
        directions = periodic_directions(parent)
        size = self.config.strain * float(spaced) * amplitude
        strain = directions.T @ _strain(kind, len(directions), step) @ directions
        return deformed(atoms, size * strain)


def _strain(kind: Deformation, directions: int, step: int) -> np.ndarray:
    """Return a unit strain; consecutive steps take directions in turn."""
    strain = np.zeros((directions, directions))
    pairs = [(i, j) for i in range(directions) for j in range(i)]
    if kind == "hydrostatic":
        return np.eye(directions)
    if kind == "uniaxial" or not pairs:  # a chain has no angle
        axis = step % directions
        strain[axis, axis] = 1
    else:
        one, other = pairs[step % len(pairs)]
        strain[one, other] = strain[other, one] = 1
    return strain
