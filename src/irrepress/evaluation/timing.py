"""Timing of models side by side, in the family's own code or in the runtime of a deployment."""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, chemical_symbols, covalent_radii

from irrepress.core.model import Batch, Model
from irrepress.core.structure import Structure
from irrepress.deploy.target import get_target
from irrepress.deploy.timing import Turn, turns_in
from irrepress.pruning.config import Runtime

# Minimum duration of a turn in seconds: short calls are easily disturbed.
TURN_SECONDS = 0.1
# The uncertainty of the median of n rounds is about the spread / sqrt(n); this is sufficient.
_STEADY = 0.02
_LEAST = 3
# Maximum number of rounds, as a multiple of those requested.
_MOST = 4
# Spread above which other work must have disturbed the machine.
_WIDE = 0.25


def reference_crystal(elements: Sequence[int], atoms: int) -> Structure:
    """Return a slightly rattled diamond crystal of about ``atoms`` atoms for timing.

    Args:
        elements: atomic numbers that the models know. Silicon is used if it is among them,
            otherwise the one with the largest covalent radius, which gives the lattice constant: in
            a crystal of hydrogen an atom would have a thousand neighbours.
        atoms: desired number of atoms; repeats of the cubic cell of 8 atoms that come closest are
            used.
    """
    silicon = atomic_numbers["Si"]
    number = silicon if silicon in elements else max(elements, key=lambda z: covalent_radii[z])
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
    """Times of several models for energy, forces and stress, measured in turn.

    Attributes:
        seconds: median over rounds of the time of a call in seconds, one per model.
        spreads: relative spreads of these seconds: interquartile range divided by the median.
        ratios: median over rounds of the time relative to that of the last model in the same round,
            one per model. If the machine's speed drifts, these are more accurate than ``seconds``.
        ratio_spreads: relative spreads of these ratios, as in `spreads`.
        rounds: number of rounds.
        busy: reason why the times are unreliable; None if there is none.

    Example:
        >>> timings = time_side_by_side([model], structures[0], repeats=1)
        >>> len(timings.seconds), timings.ratios
        (1, [1.0])
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
    runtime: Runtime = "native",
) -> Timings:
    """Time energy, forces and stress of several models in turn, A B A B ...

    Machines are shared and their speed drifts, so only times from an interleaved run can be
    compared. Rounds are repeated until the medians of the ratios are known to 2 %, or four times
    the requested number has been run. In the runtime ``native`` the time excludes building
    neighbour lists, which is the same for all models; in others it is that of the deployed
    calculator, which builds them.

    Args:
        models: the models to compare, on one device.
        structure: the structure to predict.
        repeats: minimum number of rounds, after two untimed ones; at least three are run, as fewer
            have no meaningful spread.
        native: whether to time the family's own code, which users of the models run, instead of
            irrepress's faster code, in the runtime ``native``.
        runtime: the runtime, which takes all models
            (`irrepress.deploy.runtimes.check_runtime`).
    """
    busy = busy_machine()
    least = max(repeats, _LEAST)
    rounds: list[list[float]] = []
    with timed_in(runtime, structure, models[0].device, native=native) as turn_of:
        turns = [turn_of(model) for model in models]
        while True:
            rounds.append([turn() for turn in turns])
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


@contextmanager
def timed_in(
    runtime: Runtime, structure: Structure, device: torch.device, *, native: bool = True
) -> Iterator[Callable[[Model], Turn]]:
    """Let models be timed in a runtime on one structure.

    Args:
        runtime: ``native``, in this process with neighbours given; or a runtime of deployments, in
            a process of its own.
        structure: what is evaluated.
        device: where the models are, and where a runtime of deployments runs.
        native: see `time_side_by_side`.

    Yields:
        A function from a model to what gives it a turn and returns the mean seconds of a call. The
        model has been warmed up.

    Example:
        >>> with timed_in("native", structures[0], model.device) as turn_of:
        ...     turn_of(model)() > 0
        True
    """
    if runtime != "native":
        with turns_in(
            get_target(runtime), structure.to_atoms(), device=str(device), least=TURN_SECONDS
        ) as turn_of:
            yield turn_of
        return

    def own_turn_of(model: Model) -> Turn:
        batch = model.batch([structure])
        for _ in range(2):  # the first calls compile TorchScript and warm caches
            time_call(model, batch, native=native)
        return lambda: time_turn(model, batch, native=native)

    yield own_turn_of


def busy_machine() -> str | None:
    """Return a message if the load exceeds the number of cores, otherwise None."""
    # Not every system reports the cores available to a process, or its load.
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0
    return f"load average {load:.1f} on {cores} cores" if load > cores + 0.5 else None


def time_turn(model: Model, batch: Batch, *, native: bool = True) -> float:
    """Return the mean time of a call in seconds during a turn of at least `TURN_SECONDS`.

    The mean rather than the minimum: among many short calls one is undisturbed, among few long ones
    none is, so on a shared machine the minimum would make small models seem too fast.
    """
    begin = time.perf_counter()
    calls = [time_call(model, batch, native=native)]
    while time.perf_counter() - begin < TURN_SECONDS:
        calls.append(time_call(model, batch, native=native))
    return statistics.fmean(calls)


def _spreads(rounds: np.ndarray) -> np.ndarray:
    """Return the interquartile range divided by the median for each column."""
    first, median, third = np.quantile(rounds, [0.25, 0.5, 0.75], axis=0)
    return (third - first) / median


def time_call(model: Model, batch: Batch, *, native: bool = True) -> float:
    """Return the time of one call for energy, forces and stress, in seconds.

    The batch must be on the model's device; see `time_side_by_side` for ``native``.
    """
    on_gpu = model.device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize(model.device)
    start = time.perf_counter()
    model.predict(batch, native=native)
    if on_gpu:
        torch.cuda.synchronize(model.device)
    return time.perf_counter() - start
