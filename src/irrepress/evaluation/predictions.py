"""Run a model over many structures, and label structures with what it says."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from irrepress.devices import resolve_device
from irrepress.families.base import Family, Model
from irrepress.structures.batching import in_limited_batches
from irrepress.structures.structure import Structure

# Large models need some 10 MB an atom, and on a CPU larger batches take no less time an atom.
ATOMS_PER_BATCH = 256


def label(
    family: Family,
    model: Model,
    structures: Iterable[Structure],
    *,
    batch_size: int = 8,
    device: str = "auto",
) -> Iterator[Structure]:
    """Yield the structures with their labels replaced by the model's predictions.

    Args:
        family: the model's family.
        model: the model; it is moved to the device.
        structures: any iterable; only one batch of it is held at a time.
        batch_size: structures per forward pass, fewer if they are large.
        device: as in the config.

    Yields:
        Structures in the same order. The stress is NaN where the cell is not periodic along
        all three vectors, because a volume is needed to define it.
    """
    target = resolve_device(device)
    model.to(target)
    for chunk in in_limited_batches(structures, batch_size, ATOMS_PER_BATCH):
        batch = family.batch(model, chunk)
        prediction = family.predict(model, batch.to(target))
        energy = prediction.energy.double().cpu().numpy()
        stress = prediction.stress.double().cpu().numpy()
        ends = np.cumsum([len(structure) for structure in chunk])[:-1]
        forces = np.split(prediction.forces.double().cpu().numpy(), ends)
        for i, structure in enumerate(chunk):
            yield replace(
                structure,
                energy=float(energy[i]),
                forces=forces[i],
                stress=stress[i] if structure.pbc.all() else np.full(6, np.nan),
            )
