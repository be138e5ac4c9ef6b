"""Time and size of models, measured side by side."""

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, chemical_symbols, covalent_radii

from irrepress.core.model import Batch, Model
from irrepress.core.structure import Structure

# Least seconds of a turn: short calls are easily disturbed.
TURN_SECONDS = 0.1
# The median of n rounds is known to about the spread over the root of n; this is enough.
_STEADY = 0.02
_LEAST = 3
# The largest number of rounds, as a multiple of those asked for.
_MOST = 4
# A spread from which on other work must have taken the machine's time.
_WIDE = 0.25


def reference_crystal(elements: Sequence[int], atoms: int) -> Structure:
    """A slightly rattled diamond crystal of about ``atoms`` atoms for timing.

    Args:
        elements: atomic numbers that the models know; silicon is taken if it is among them,
            else the first, with a lattice constant from its covalent radius.
        atoms: desired size; the cubic cell of 8 atoms is repeated to come closest.
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


@dataclass(frozen=True)
class Timings:
    """Times of energy, forces and stress of several models, measured in turn.

    Attributes:
        seconds: median over rounds of the seconds of a call, one per model.
        spreads: relative spreads of these seconds: interquartile range divided by the median.
        ratios: median over rounds of the time relative to that of the last model in the same
            round, one per model. Where a machine drifts, this is better known than seconds are.
        ratio_spreads: relative spreads of these ratios, as in `spreads`.
        rounds: number of rounds.
        busy: why the times are unreliable; None if nothing was noticed.
    """

    seconds: list[float]
    spreads: list[float]
    ratios: list[float]
    ratio_spreads: list[float]
    rounds: int
    busy: str | None


def time_side_by_side(
    models: Sequence[Model],
    structure: Structure,
    *,
    repeats: int,
    native: bool = True,
) -> Timings:
    """Time energy, forces and stress of several models in turn, A B A B ...

    Machines are shared and their speed drifts, so that only times from one interleaved run can
    be compared. Rounds are repeated until the medians of ratios are known to `_STEADY`, or
    `_MOST` times as many rounds as asked for have been run. Where the family's own code takes a
    neighbour list, making it is no part of the time: it is the same for all.

    Args:
        models: the models to compare, on one device.
        structure: the structure to predict.
        repeats: least number of rounds, after two untimed ones; at least three are run, because
            fewer have no spread.
        native: time the family's own code, as users of the models run it; else irrepress's faster
            code, which trains.
    """
    busy = busy_machine()
    batches: list[Batch] = []
    for model in models:
        batches.append(model.batch([structure]))
        for _ in range(2):  # the first calls compile TorchScript and warm caches
            time_call(model, batches[-1], native=native)
    least = max(repeats, _LEAST)
    rounds: list[list[float]] = []
    while True:
        rounds.append(
            [time_turn(*each, native=native) for each in zip(models, batches, strict=True)]
        )
        times = np.array(rounds)
        compared = times / times[:, -1:] if len(models) > 1 else times
        spreads = _spreads(compared)
        steady = spreads.max() <= _STEADY * len(rounds) ** 0.5
        if len(rounds) >= least and (steady or len(rounds) >= _MOST * repeats):
            break
    if spreads.max() > _WIDE:
        differ = f"rounds differ by {100 * spreads.max():.0f} %"
        busy = f"{busy}, {differ}" if busy else differ
    return Timings(
        seconds=np.median(times, axis=0).tolist(),
        spreads=_spreads(times).tolist(),
        ratios=np.median(times / times[:, -1:], axis=0).tolist(),
        ratio_spreads=_spreads(times / times[:, -1:]).tolist(),
        rounds=len(rounds),
        busy=busy,
    )


def busy_machine() -> str | None:
    """Return a message if more processes run than the machine has cores; None if not."""
    # Not every system reports the cores that a process may use, or its load.
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0
    return f"load average {load:.1f} on {cores} cores" if load > cores + 0.5 else None


def time_turn(model: Model, batch: Batch, *, native: bool = True) -> float:
    """Return the mean seconds of a call during a turn of at least `TURN_SECONDS`.

    The mean and not the minimum: among many short calls there is an undisturbed one, among few
    long ones there is none, so that on a shared machine small models would seem too fast.
    """
    begin = time.perf_counter()
    calls = [time_call(model, batch, native=native)]
    while time.perf_counter() - begin < TURN_SECONDS:
        calls.append(time_call(model, batch, native=native))
    return statistics.fmean(calls)


def _spreads(rounds: np.ndarray) -> np.ndarray:
    """Return the quartiles' distance over the median of each column."""
    first, median, third = np.quantile(rounds, [0.25, 0.5, 0.75], axis=0)
    return (third - first) / median


def time_call(model: Model, batch: Batch, *, native: bool = True) -> float:
    """Time energy, forces and stress once, in seconds; see `time_side_by_side`.

    The batch is on the model's device.
    """
    on_gpu = model.device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize(model.device)
    start = time.perf_counter()
    model.predict(batch, native=native)
    if on_gpu:
        torch.cuda.synchronize(model.device)
    return time.perf_counter() - start
