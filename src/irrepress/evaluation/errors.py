"""Errors of energies, forces and stress against labels or against the parent."""

from collections.abc import Iterable, Sequence

import numpy as np

from irrepress.evaluation.predictions import label
from irrepress.families.base import Family, Model
from irrepress.structures.batching import in_batches
from irrepress.structures.structure import Structure

QUANTITIES = ("energy", "forces", "stress")


class ErrorAccumulator:
    """Mean absolute and root mean square errors, accumulated structure by structure."""

    def __init__(self) -> None:
        self._absolute = dict.fromkeys(QUANTITIES, 0.0)
        self._squared = dict.fromkeys(QUANTITIES, 0.0)
        self._count = dict.fromkeys(QUANTITIES, 0)

    def add(self, predicted: Structure, reference: Structure) -> None:
        """Add one structure: energies per atom, force and stress components.

        Components whose reference or prediction is NaN are left out.
        """
        atoms = len(reference)
        self._add("energy", np.array([(predicted.energy - reference.energy) / atoms]))
        self._add("forces", predicted.forces - reference.forces)
        self._add("stress", predicted.stress - reference.stress)

    def result(self) -> dict[str, float | None]:
        """Return ``{energy,forces,stress}_{mae,rmse}`` in eV/atom, eV/Å and eV/Å^3.

        Values are None where there was nothing to compare.
        """
        result: dict[str, float | None] = {}
        for name in QUANTITIES:
            count = self._count[name]
            result[f"{name}_mae"] = self._absolute[name] / count if count else None
            result[f"{name}_rmse"] = float(np.sqrt(self._squared[name] / count)) if count else None
        return result

    def _add(self, name: str, difference: np.ndarray) -> None:
        difference = difference[np.isfinite(difference)]
        self._absolute[name] += float(np.abs(difference).sum())
        self._squared[name] += float(np.square(difference).sum())
        self._count[name] += difference.size


def compute_errors(
    family: Family,
    model: Model,
    structures: Iterable[Structure],
    *references: Sequence[Structure] | Iterable[Structure],
    batch_size: int = 8,
    device: str = "auto",
) -> list[dict[str, float | None]]:
    """Run the model once and compare with its labels and with any further references.

    Args:
        family: the model's family.
        model: the model.
        structures: structures with labels.
        *references: the same structures in the same order with other labels, such as the
            parent's predictions.
        batch_size: structures per forward pass.
        device: as in the config.

    Returns:
        One dictionary of `ErrorAccumulator.result` for the labels and one per reference.
    """
    accumulators = [ErrorAccumulator() for _ in range(1 + len(references))]
    iterators = [iter(reference) for reference in references]
    for chunk in in_batches(structures, batch_size):
        predictions = label(family, model, chunk, batch_size=batch_size, device=device)
        for predicted, structure in zip(predictions, chunk, strict=True):
            accumulators[0].add(predicted, structure)
            for accumulator, iterator in zip(accumulators[1:], iterators, strict=True):
                accumulator.add(predicted, next(iterator))
    return [accumulator.result() for accumulator in accumulators]
