"""Numbers of structures with each label."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from irrepress.core.structure import Structure

_NAMES = {"energy": "energies", "forces": "forces", "stress": "stress"}


@dataclass
class LabelCounts:
    """Numbers of structures with each label; any structure may lack any label.

    Attributes:
        structures: total number of structures.
        energy: number with an energy.
        forces: number with forces.
        stress: number with a stress and a cell that is periodic along all three vectors.
        stress_without_volume: number with a stress but without such a cell, and thus without a
            volume that would define it.

    Example:
        >>> print(LabelCounts(structures=300, energy=300, forces=120))
        labels of 300 structures: energies of 300, forces of 120, stress of 0
    """

    structures: int = 0
    energy: int = 0
    forces: int = 0
    stress: int = 0
    stress_without_volume: int = 0

    @classmethod
    def of(cls, structures: Iterable[Structure]) -> "LabelCounts":
        """Return the counts for some structures."""
        counts = cls()
        for structure in structures:
            counts.add(structure)
        return counts

    def add(self, structure: Structure) -> None:
        """Count a structure."""
        self.structures += 1
        self.energy += bool(np.isfinite(structure.energy))
        self.forces += bool(np.isfinite(structure.forces).all())
        if np.isfinite(structure.stress).all():
            if structure.pbc.all():
                self.stress += 1
            else:
                self.stress_without_volume += 1

    def __str__(self) -> str:
        counts = ", ".join(f"{text} of {getattr(self, name):,}" for name, text in _NAMES.items())
        text = f"labels of {self.structures:,} structures: {counts}"
        if self.stress_without_volume:
            text += (
                f" (the stress of {self.stress_without_volume:,} is not used: their cell is not "
                "periodic along all three vectors, so they have no volume)"
            )
        return text
