"""Errors of energies, forces and stress against labels or against the parent."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from irrepress.core.errors import UserError
from irrepress.core.label_counts import LabelCounts
from irrepress.core.model import Model
from irrepress.core.quantities import QUANTITIES
from irrepress.core.structure import Structure
from irrepress.data.energy_fit import EnergyOffsets
from irrepress.evaluation.predictions import Failures, label

# Units of the results of `ErrorAccumulator.result`.
UNITS = {"energy": "eV/atom", "forces": "eV/Å", "stress": "eV/Å^3"}

Errors = dict[str, float | None]


class ErrorAccumulator:
    """Mean absolute and root mean square errors, accumulated structure by structure.

    Attributes:
        offsets: energy differences, reference minus prediction.

    Example:
        >>> from dataclasses import replace
        >>> from ase.build import molecule
        >>> water = replace(Structure.unlabelled(molecule("H2O")), energy=-14.2)
        >>> errors = ErrorAccumulator()
        >>> errors.add(replace(water, energy=-14.5), water)
        >>> round(errors.result()["energy_mae"], 3)  # eV/atom
        0.1
    """

    def __init__(self) -> None:
        self.offsets = EnergyOffsets()
        self._absolute = dict.fromkeys(QUANTITIES, 0.0)
        self._squared = dict.fromkeys(QUANTITIES, 0.0)
        self._count = dict.fromkeys(QUANTITIES, 0)
        self._failed: set[str] = set()

    def add(self, predicted: Structure, reference: Structure) -> None:
        """Add one structure: energies per atom, force and stress components.

        Missing labels (NaN) are skipped, and so is the stress if the cell is not periodic along all
        three vectors: without a volume it is not defined. A prediction that is not finite is never
        skipped: the errors of its quantity are then None.
        """
        if np.isfinite(reference.energy) and np.isfinite(predicted.energy):
            self.offsets.add(reference.numbers, reference.energy - predicted.energy)
        self._add("energy", predicted.energy / len(reference), reference.energy / len(reference))
        self._add("forces", predicted.forces, reference.forces)
        if reference.pbc.all():
            self._add("stress", predicted.stress, reference.stress)

    def result(self, constants: Mapping[int, float] | None = None) -> Errors:
        """Return ``{energy,forces,stress}_{mae,rmse}`` in eV/atom, eV/Å and eV/Å^3.

        Values are None if there is nothing to compare or a prediction is not finite.

        Args:
            constants: atomic number -> constant in eV, added to the predicted energies.
        """
        result: Errors = {}
        for name in QUANTITIES:
            count = 0 if name in self._failed else self._count[name]
            result[f"{name}_mae"] = self._absolute[name] / count if count else None
            result[f"{name}_rmse"] = float(np.sqrt(self._squared[name] / count)) if count else None
        if constants and result["energy_mae"] is not None:
            rest = self.offsets.left_over(constants)
            result["energy_mae"] = float(np.abs(rest).mean())
            result["energy_rmse"] = float(np.sqrt(np.square(rest).mean()))
        return result

    def _add(self, name: str, predicted: np.ndarray | float, reference: np.ndarray | float) -> None:
        is_labelled = np.isfinite(reference)
        if not is_labelled.any():
            return
        difference = np.subtract(predicted, reference)[is_labelled]
        if not np.isfinite(difference).all():
            self._failed.add(name)
        self._absolute[name] += float(np.abs(difference).sum())
        self._squared[name] += float(np.square(difference).sum())
        self._count[name] += difference.size


@dataclass(frozen=True)
class Comparisons:
    """A model's predictions, compared with labels and with further references.

    Attributes:
        against: the comparison with the labels, then one for each further reference.
        failures: predictions that are not finite.
        labels: number of structures, and of structures with each label.
        atoms: total number of atoms.

    Example:
        >>> found = compare_predictions(model, structures)
        >>> found.atoms, found.labels.energy, bool(found.failures)
        (8, 4, False)
    """

    against: list[ErrorAccumulator]
    failures: Failures
    labels: LabelCounts
    atoms: int


def compare_predictions(
    model: Model,
    structures: Iterable[Structure],
    *references: Sequence[Structure] | Iterable[Structure],
    batch_size: int = 8,
) -> Comparisons:
    """Run a model once and compare it with labels and further references.

    Args:
        model: the model.
        structures: structures with labels, any of which may be missing.
        *references: the same structures in the same order with other labels, such as the
            parent's predictions.
        batch_size: structures per forward pass.
    """
    accumulators = [ErrorAccumulator() for _ in range(1 + len(references))]
    iterators = [iter(reference) for reference in references]
    failures = Failures()
    labels, atoms = LabelCounts(), 0
    ahead: deque[Structure] = deque()  # structures of the current batch

    def kept() -> Iterator[Structure]:
        for structure in structures:
            ahead.append(structure)
            yield structure

    for predicted in label(model, kept(), batch_size=batch_size, failures=failures):
        structure = ahead.popleft()
        labels.add(structure)
        atoms += len(structure)
        accumulators[0].add(predicted, structure)
        for accumulator, iterator in zip(accumulators[1:], iterators, strict=True):
            accumulator.add(predicted, next(iterator))
    return Comparisons(accumulators, failures, labels, atoms)


def compute_errors(
    model: Model,
    structures: Iterable[Structure],
    *references: Sequence[Structure] | Iterable[Structure],
    batch_size: int = 8,
) -> list[Errors]:
    """Return the errors against labels and further references; see `compare_predictions`.

    Returns:
        A dictionary as from `ErrorAccumulator.result` for the labels and for each reference.

    Raises:
        UserError: if a prediction is not finite.
    """
    found = compare_predictions(model, structures, *references, batch_size=batch_size)
    if found.failures:
        raise UserError(found.failures.message(f"this {model.family.name} model"))
    return [accumulator.result() for accumulator in found.against]
