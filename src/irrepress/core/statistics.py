"""What an untrained model is told of the data that it will be trained on."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from irrepress.core.errors import UserError
from irrepress.core.neighbours import neighbour_list
from irrepress.core.structure import Structure

logger = logging.getLogger(__name__)


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
            Without any energy the shift is 0, without any forces the scale is 1; both are logged.

    Raises:
        UserError: no structure of the sample has an energy or forces.
    """
    energies = [
        (s.energy - sum(references[int(z)] for z in s.numbers), len(s))
        for s in sample
        if np.isfinite(s.energy)
    ]
    forces = [s.forces.ravel() for s in sample if np.isfinite(s.forces).all()]
    if not energies and not forces:
        raise UserError(
            "training from scratch: the structures have neither energies nor forces to train on; "
            "name their keys in the dataset, or label them with a model"
        )
    shift, scale = 0.0, 1.0
    if energies:
        above, atoms = np.sum(energies, axis=0)
        shift = float(above / atoms)
    else:
        logger.warning("training from scratch: no energies to take the model's zero from; it is 0")
    if forces:
        scale = float(np.sqrt(np.mean(np.concatenate(forces) ** 2))) or 1.0
    else:
        logger.warning("training from scratch: no forces to take the model's scale from; it is 1")
    return DataStatistics(references, shift, scale, sample)
