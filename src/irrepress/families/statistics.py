"""What an untrained model is told of the data that it will be trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from irrepress.errors import UserError
from irrepress.structures.neighbours import neighbour_list
from irrepress.structures.structure import Structure


@dataclass(frozen=True)
class DataStatistics:
    """Constants of a data set, from a sample of its training structures.

    Attributes:
        references: atomic number -> reference energy in eV; these are the elements of the data.
        shift: mean over the atoms of what the energies are above the references, eV.
        scale: root mean square of the components of forces, eV/Å; 1 if all are zero.
        sample: the structures.
    """

    references: Mapping[int, float]
    shift: float
    scale: float
    sample: Sequence[Structure]

    @property
    def elements(self) -> list[int]:
        """Atomic numbers, ascending."""
        return sorted(self.references)

    def shifted(self) -> dict[int, float]:
        """Return references with the shift in them, for families that have no place for it."""
        return {number: energy + self.shift for number, energy in self.references.items()}

    def neighbours(self, cutoff: float) -> float:
        """Return the mean number of neighbours of an atom; at least 1, as it divides.

        Args:
            cutoff: in Å.
        """
        edges = sum(len(neighbour_list(structure, cutoff)) for structure in self.sample)
        return max(edges / sum(map(len, self.sample)), 1.0)


def measure_statistics(
    references: Mapping[int, float], sample: Sequence[Structure]
) -> DataStatistics:
    """Measure a sample of labelled structures.

    Args:
        references: atomic number -> eV.
        sample: at least one structure; those without an energy or forces do not count for them.

    Raises:
        UserError: no structure of the sample has an energy and forces.
    """
    energies = [
        (s.energy - sum(references[int(z)] for z in s.numbers), len(s))
        for s in sample
        if np.isfinite(s.energy)
    ]
    forces = [s.forces.ravel() for s in sample if np.isfinite(s.forces).all()]
    if not energies or not forces:
        raise UserError(
            "training from scratch: the structures have no energies or no forces to train on; "
            "name their keys in the dataset, or label them with a model"
        )
    above, atoms = np.sum(energies, axis=0)
    scale = float(np.sqrt(np.mean(np.concatenate(forces) ** 2)))
    return DataStatistics(references, float(above / atoms), scale or 1.0, sample)
