"""Structures in which two atoms are closer than they come by themselves."""

from itertools import combinations_with_replacement

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from irrepress.core.structure import Structure
from irrepress.data.dynamics import supercell
from irrepress.data.sources.config import Squeezed
from irrepress.data.sources.drawing import GuidedDrawing, Turn

# At larger distances, relative to the sum of covalent radii, bonds may pull atoms together.
_BONDED = 0.8


class SqueezedPairs(GuidedDrawing[Squeezed]):
    """Structures with one close pair, or pairs alone, that the labelling model pushes apart.

    Where it does not, and no bond could be the reason, it knows no better itself: the pair is drawn
    again, less close. See the base class.

    Example:
        >>> from irrepress.catalogue.model_ref import ModelRef
        >>> from irrepress.core.calculator import ModelCalculator
        >>> labels = ModelRef(family="sevennet", checkpoint="7net-0")
        >>> config = Squeezed(source="squeezed", of="silicon", count=6, atoms=8, labels=labels)
        >>> print(SqueezedPairs(store, config, "squeezed", ModelCalculator(model)))
        6 squeezed structures from 3 structures
    """

    what = "squeezed structures"

    def closest(self, parent: Structure) -> float:
        """Return how close atoms may be; see the base class."""
        return 0.9 * self.config.closest

    def draw(
        self, parent: Structure, turn: Turn, amplitude: float, rng: np.random.Generator
    ) -> Atoms | None:
        """Put two atoms closer together; see the base class."""
        elements = np.unique(parent.numbers).tolist()
        kinds = [
            (place, pair)
            for place in self.config.kinds
            for pair in combinations_with_replacement(elements, 2)
        ]
        (place, pair), step, steps = turn.among(kinds)
        spread = (step + rng.uniform()) / steps
        share = 1 - (1 - self.config.closest) * spread * amplitude
        distance = share * float(covalent_radii[list(pair)].sum())
        if place == "alone":
            atoms = Atoms(pair, positions=[[0, 0, 0], [distance, 0, 0]])
            found = (0, 1)
        else:
            atoms = supercell(parent, self.config.atoms)
            neighbours = _neighbours(atoms, pair, rng)
            if neighbours is None:
                return None
            found = neighbours
            _put(atoms, found, distance)
        atoms.info = {"pair": found, "share": share}
        return atoms

    def settle(
        self, atoms: Atoms, turn: Turn, deviation: float, rng: np.random.Generator
    ) -> Atoms | None:
        """Leave out what the labelling model pulls together; see the base class."""
        first, second = atoms.info["pair"]
        self.calculator.calculate(atoms, ["energy", "forces"])
        forces = self.calculator.results["forces"]
        apart = atoms.get_distance(first, second, mic=True, vector=True)
        pushed = (forces[second] - forces[first]) @ apart > 0
        good = np.isfinite(forces).all() and (pushed or atoms.info["share"] > _BONDED)
        return atoms if good else None


def _neighbours(
    atoms: Atoms, elements: tuple[int, int], rng: np.random.Generator
) -> tuple[int, int] | None:
    """Return an atom of an element and the nearest one of another; None if there are no two."""
    first = int(rng.choice(np.flatnonzero(atoms.numbers == elements[0])))
    others = np.flatnonzero(atoms.numbers == elements[1])
    others = others[others != first]
    if not len(others):
        return None
    return first, int(others[np.argmin(atoms.get_distances(first, others, mic=True))])


def _put(atoms: Atoms, pair: tuple[int, int], distance: float) -> None:
    """Move two atoms towards each other, by half each, to a distance in Å."""
    first, second = pair
    apart = atoms.get_distance(first, second, mic=True, vector=True)
    shift = (1 - distance / np.linalg.norm(apart)) / 2 * apart
    atoms.positions[first] += shift
    atoms.positions[second] -= shift
