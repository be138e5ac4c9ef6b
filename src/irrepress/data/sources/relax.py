"""Structures that were disturbed and have not come to rest yet."""

import numpy as np
from ase import Atoms
from ase.optimize import FIRE

from irrepress.core.structure import Structure
from irrepress.data.dynamics import supercell
from irrepress.data.sources.config import Relaxed
from irrepress.data.sources.drawing import GuidedDrawing, Turn
from irrepress.data.sources.strain import deformed, draw_strain, periodic_directions


class Relaxations(GuidedDrawing[Relaxed]):
    """Structures after a few steps of relaxation in a strained cell; see the base class.

    Example:
        >>> from irrepress.catalogue.model_ref import ModelRef
        >>> from irrepress.core.calculator import ModelCalculator
        >>> labels = ModelRef(family="sevennet", checkpoint="7net-0")
        >>> config = Relaxed(source="relaxed", of="silicon", count=6, atoms=2, labels=labels)
        >>> print(Relaxations(store, config, "relaxed", ModelCalculator(model)))
        6 relaxed structures from 3 structures
    """

    what = "relaxed structures"

    def draw(
        self, parent: Structure, turn: Turn, amplitude: float, rng: np.random.Generator
    ) -> Atoms:
        """Strain a supercell; see the base class."""
        size = self.config.strain * amplitude
        strain = draw_strain(periodic_directions(parent), size, rng)
        return deformed(supercell(parent, self.config.atoms), strain)

    def settle(
        self, atoms: Atoms, turn: Turn, deviation: float, rng: np.random.Generator
    ) -> Atoms | None:
        """Relax the rattled atoms, in rounds; see the base class."""
        atoms.calc = self.calculator
        for number in range(1 + turn.index % self.config.rounds):
            if number:
                atoms.positions += rng.normal(scale=deviation, size=(len(atoms), 3))
            if not np.isfinite(atoms.get_forces()).all():
                return None
            FIRE(atoms, logfile=None).run(fmax=0.0, steps=int(rng.integers(self.config.steps)) + 1)
        atoms.calc = None
        return atoms if np.isfinite(atoms.positions).all() else None
