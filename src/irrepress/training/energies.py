"""Constant shifts per element that bring a model's energies to the level of a data set."""

import numpy as np

from irrepress.devices import resolve_device
from irrepress.errors import UserError
from irrepress.families.base import Family, Model
from irrepress.structures.store import StructureStore

# Directions of composition whose eigenvalue is below this share of the largest are not fitted:
# the data say nothing about them beyond round-off.
RANK_TOLERANCE = 1e-10


def fit_energy_shifts(
    family: Family,
    model: Model,
    store: StructureStore,
    split: str = "train",
    *,
    device: str = "auto",
    batch_size: int = 8,
) -> dict[int, float]:
    """Fit one constant per element to the difference between labels and predictions.

    Least squares of the energies per atom. Where the compositions do not tell elements apart
    (a single molecule, say), the shifts of the smallest norm are taken.

    Args:
        family: the model's family.
        model: the model; it is not changed.
        store: structures with energies; those without one take no part.
        split: the split to fit on.
        device: as in the config.
        batch_size: structures per forward pass.

    Returns:
        Atomic number -> eV, for every element of the split, as `Family.shift_energies` takes it.

    Raises:
        UserError: the split is empty or has no energies.
    """
    home, target = model.device, resolve_device(device)
    elements = sorted(store.elements)
    column = {number: i for i, number in enumerate(elements)}
    # The normal equations are all that is kept of the structures.
    matrix = np.zeros((len(elements), len(elements)))
    vector = np.zeros(len(elements))
    model.to(target)
    try:
        for start in range(0, len(store.splits[split]), batch_size):
            indices = store.splits[split][start : start + batch_size]
            structures = [s for s in store.read(indices) if np.isfinite(s.energy)]
            if not structures:
                continue
            batch = family.batch(model, structures).to(target)
            predicted = family.predict(model, batch).energy.double().cpu().numpy()
            for structure, energy in zip(structures, predicted, strict=True):
                fractions = np.zeros(len(elements))
                for number in structure.numbers:
                    fractions[column[int(number)]] += 1 / len(structure)
                matrix += np.outer(fractions, fractions)
                vector += fractions * (structure.energy - energy) / len(structure)
    finally:
        model.to(home)
    if not matrix.any():
        raise UserError(
            f"{store.path}: the {split} split has no energies to fit the shifts of elements to; "
            "label it or leave the shifts out"
        )
    shifts = np.linalg.pinv(matrix, rcond=RANK_TOLERANCE, hermitian=True) @ vector
    return {number: float(shifts[i]) for number, i in column.items() if matrix[i, i] > 0}
