"""Energy shifts per element that align a model's energies with a dataset."""

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
    """Fit one constant per element to the differences between labels and predictions.

    This is a least-squares fit to energies per atom. If the compositions do not distinguish
    elements (a single molecule, for example), the elements share the difference evenly.

    Args:
        model: the model; it is not changed.
        store: structures; those without an energy are ignored.
        split: the split to fit on.
        batch_size: number of structures per forward pass.

    Returns:
        Atomic number -> shift in eV for every element of the split, as for `Model.shift_energies`;
        empty, with a warning, if no structure in the split has an energy.

    Raises:
        UserError: if the split is empty or a predicted energy is not finite.
    """
    indices = store.require(split)
    offsets = energy_offsets(model, store, indices, batch_size=batch_size)
    if not len(offsets):
        logger.warning(
            "%s: the %s split has no energies: the model's reference energies are left unchanged",
            store.path,
            split,
        )
        return {}
    shifts = offsets.fit()
    logger.info(
        "energies: one constant per element changes their mean absolute error on %d structures "
        "from %.4g to %.4g meV/atom",
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
    """Return the energy differences, labels minus predictions.

    Args:
        model: the model; it is not changed.
        store: structures; those without an energy are ignored.
        indices: indices of the structures.
        batch_size: number of structures per forward pass.

    Raises:
        UserError: if a predicted energy is not finite.
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
