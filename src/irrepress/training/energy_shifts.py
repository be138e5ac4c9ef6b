"""Constant shifts per element that bring a model's energies to the level of a data set."""

import logging
from collections.abc import Sequence

import numpy as np

from irrepress.core.batching import in_batches
from irrepress.core.finite import check_prediction
from irrepress.core.model import Model
from irrepress.data.energy_fit import EnergyOffsets
from irrepress.data.store import StructureStore

logger = logging.getLogger(__name__)


def fit_energy_shifts(
    model: Model,
    store: StructureStore,
    split: str = "train",
    *,
    batch_size: int = 8,
) -> dict[int, float]:
    """Fit one constant per element to the difference between labels and predictions.

    Least squares of the energies per atom. Where the compositions do not tell elements apart
    (a single molecule, say), their elements share the difference evenly.

    Args:
        model: the model; it is not changed.
        store: structures; those without an energy take no part.
        split: the split to fit on.
        batch_size: structures per forward pass.

    Returns:
        Atomic number -> eV, for every element of the split, as `Family.shift_energies` takes it;
        empty, with a line in the log, if no structure of the split has an energy.

    Raises:
        UserError: the split is empty, or a predicted energy is not finite.
    """
    indices = store.require(split)
    offsets = energy_offsets(model, store, indices, batch_size=batch_size)
    if not len(offsets):
        logger.warning(
            "%s: the %s split has no energies: the model's reference energies stay as they are",
            store.path,
            split,
        )
        return {}
    shifts = offsets.fit()
    logger.info(
        "energies: one constant per element takes their mean absolute difference from the labels "
        "of %d structures from %.4g to %.4g meV/atom",
        len(offsets),
        1e3 * offsets.mean_absolute(),
        1e3 * offsets.mean_absolute(shifts),
    )
    return shifts


def energy_offsets(
    model: Model,
    store: StructureStore,
    indices: Sequence[int] | np.ndarray,
    *,
    batch_size: int = 8,
) -> EnergyOffsets:
    """Return the differences of energies of structures, labels minus predictions.

    Args:
        model: the model; it is not changed.
        store: structures; those without an energy take no part.
        indices: indices of the structures.
        batch_size: structures per forward pass.

    Raises:
        UserError: a predicted energy is not finite.
    """
    offsets = EnergyOffsets()
    for members in in_batches(np.asarray(indices).tolist(), batch_size):
        structures = [s for s in store.read(members) if np.isfinite(s.energy)]
        if not structures:
            continue
        batch = model.batch(structures)
        prediction = model.predict(batch)
        check_prediction(prediction, batch, f"{store.path}")
        predicted = prediction.energy.double().cpu().numpy()
        for structure, energy in zip(structures, predicted, strict=True):
            offsets.add(structure.numbers, structure.energy - energy)
    return offsets
