"""Statistics of the training data, for initialising untrained models."""

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
    """Statistics of a dataset, from a sample of its training structures.

    Attributes:
        references: atomic number -> reference energy in eV, for every element in the data.
        shift: mean energy per atom relative to the references, in eV.
        scale: root mean square of force components in eV/Å; 1 if all are zero.
        sample: the structures in the sample.

    Example:
        >>> from dataclasses import replace
        >>> from ase.build import bulk
        >>> silicon = Structure.unlabelled(bulk("Si"))
        >>> silicon = replace(silicon, energy=-10.8, forces=np.ones((2, 3)))
        >>> statistics = measure_statistics({14: -5.0}, [silicon])
        >>> round(statistics.shift, 3), statistics.scale, statistics.neighbours(cutoff=2.5)
        (-0.4, 1.0, 4.0)
    """

    references: Mapping[int, float]
    shift: float
    scale: float
    sample: Sequence[Structure]

    @property
    def elements(self) -> list[int]:
        """Sorted atomic numbers."""
        return sorted(self.references)

    def shifted(self) -> dict[int, float]:
        """Return references that include the shift, for families without a separate shift."""
        return {number: energy + self.shift for number, energy in self.references.items()}

    def neighbours(self, cutoff: float) -> float:
        """Return the mean number of neighbours per atom, at least 1, so that it can be a divisor.

        Args:
            cutoff: radius in Å.
        """
        edges = sum(len(neighbour_list(structure, cutoff)) for structure in self.sample)
        return max(edges / sum(map(len, self.sample)), 1.0)


def measure_statistics(
    references: Mapping[int, float], sample: Sequence[Structure]
) -> DataStatistics:
    """Return the statistics of a sample of labelled structures.

    Args:
        references: atomic number -> reference energy in eV.
        sample: at least one structure; any label may be missing. The shift is 0 if none has an
            energy, and the scale is 1 if none has forces; both are logged.

    Raises:
        UserError: if no structure in the sample has an energy or forces.
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
            "set the label keys of the dataset, or label it with a model"
        )
    shift, scale = 0.0, 1.0
    if energies:
        above, atoms = np.sum(energies, axis=0)
        shift = float(above / atoms)
    else:
        logger.warning(
            "training from scratch: there are no energies to determine the model's shift; it is "
            "set to 0"
        )
    if forces:
        scale = float(np.sqrt(np.mean(np.concatenate(forces) ** 2))) or 1.0
    else:
        logger.warning(
            "training from scratch: there are no forces to determine the model's scale; it is set "
            "to 1"
        )
    return DataStatistics(references, shift, scale, sample)
