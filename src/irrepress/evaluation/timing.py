"""Time and size of models, measured side by side."""

import statistics
import time
from collections.abc import Sequence

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, chemical_symbols, covalent_radii

from irrepress.families.base import Batch, Family, Model
from irrepress.structures.structure import Structure


def reference_crystal(elements: Sequence[int], atoms: int) -> Structure:
    """A slightly rattled diamond crystal of about ``atoms`` atoms for timing.

    Args:
        elements: atomic numbers that the models know; silicon is taken if it is among them,
            else the first, with a lattice constant from its covalent radius.
        atoms: wished size; the cubic cell of 8 atoms is repeated to come nearest.
    """
    silicon = atomic_numbers["Si"]
    number = silicon if silicon in elements else elements[0]
    # Nearest neighbours of diamond are sqrt(3)/4 of the lattice constant apart.
    lattice = 5.43 if number == silicon else 2 * covalent_radii[number] * 4 / np.sqrt(3)
    cell = bulk(chemical_symbols[number], "diamond", a=lattice, cubic=True)
    repeats = min(
        ((i, j, k) for i in range(1, 9) for j in range(i, 9) for k in range(j, 9)),
        key=lambda r: (abs(8 * r[0] * r[1] * r[2] - atoms), max(r) - min(r)),
    )
    crystal: Atoms = cell.repeat(repeats)
    crystal.rattle(0.05, seed=0)
    return Structure.unlabelled(crystal)


def time_side_by_side(
    family: Family, models: Sequence[Model], structure: Structure, *, repeats: int, device: str
) -> list[float]:
    """Time energy, forces and stress of several models in turn, A B A B ...

    Machines are shared and their speed drifts, so that only times from one interleaved run
    can be compared. The neighbour list is not part of the time: it is the same for all.

    Args:
        family: the models' family.
        models: the models to compare.
        structure: what they predict.
        repeats: timed calls per model, after two untimed ones.
        device: resolved device name.

    Returns:
        Median seconds per call, one per model.
    """
    batches: list[Batch] = []
    for model in models:
        model.to(device)
        batches.append(family.batch(model, [structure]).to(device))
    seconds: list[list[float]] = [[] for _ in models]
    for repeat in range(repeats + 2):
        for i, (model, batch) in enumerate(zip(models, batches, strict=True)):
            elapsed = time_call(family, model, batch)
            if repeat >= 2:  # the first calls compile TorchScript and warm caches
                seconds[i].append(elapsed)
    return [statistics.median(values) for values in seconds]


def time_call(family: Family, model: Model, batch: Batch) -> float:
    """Time energy, forces and stress once, in seconds, by the code that users of the model run.

    The batch is on the model's device.
    """
    on_gpu = model.device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize(model.device)
    start = time.perf_counter()
    family.predict(model, batch, native=True)
    if on_gpu:
        torch.cuda.synchronize(model.device)
    return time.perf_counter() - start
