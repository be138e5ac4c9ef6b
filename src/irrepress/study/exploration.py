"""Short runs of molecular dynamics of a compressed model, and how far it is from its parent there.

Errors on a test split say little of structures that a compressed model reaches by itself. So it
runs, and the frames that it reaches are labelled by its parent.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from irrepress.core.calculator import ModelCalculator
from irrepress.core.evaluator import faster_evaluator
from irrepress.core.model import Model
from irrepress.core.progress import tracked
from irrepress.core.structure import Structure
from irrepress.data.sources.trajectory import Run, RunSettings, run_trajectory
from irrepress.data.store import StructureStore
from irrepress.evaluation.predictions import Failures, label
from irrepress.training.config import Refinement

logger = logging.getLogger(__name__)

# A start whose largest force is below this, in eV/Å, has no thermal displacements.
_AT_REST = 0.5
# Frames that a run offers for each one that may be added.
_OFFERED = 2
# Frames with a larger force by the parent, in eV/Å, have left what any training should follow.
_MOST_FORCE = 50.0


@dataclass(frozen=True)
class Frame:
    """A frame of a run, labelled by the parent.

    Attributes:
        structure: the frame, with the parent's labels.
        run: number of its run.
        temperature: of its run in K.
        energy_error: of the compressed model, absolute, in eV/atom.
        force_error: mean absolute error of its force components in eV/Å.
        force: mean absolute force component of the parent in eV/Å.
        last: whether the run broke after this frame.

    Example:
        >>> frame = Frame(structures[0], 0, 300.0, 0.001, 0.02, 0.5, last=False)
        >>> frame.departure
        0.04
    """

    structure: Structure
    run: int
    temperature: float
    energy_error: float
    force_error: float
    force: float
    last: bool

    @property
    def departure(self) -> float:
        """The error of the forces relative to the parent's."""
        return self.force_error / max(self.force, 1e-12)


@dataclass(frozen=True)
class Found:
    """What the dynamics of a model show: its errors on frames that it was not trained on.

    Attributes:
        frames: number of frames.
        runs: number of runs.
        broke: what went wrong in the runs that broke.
        energy_mae: in eV/atom.
        forces_mae: in eV/Å.
        departure: sum of the errors of forces relative to the sum of the parent's forces.
        departures: the same by temperature in K.
        left_out: frames without finite or reasonable labels.

    Example:
        >>> frame = Frame(structures[0], 0, 300.0, 0.001, 0.02, 0.5, last=False)
        >>> round(Found.of([frame], runs=1, broke=[], left_out=0).departure, 3)
        0.04
    """

    frames: int
    runs: int
    broke: list[str]
    energy_mae: float
    forces_mae: float
    departure: float
    departures: dict[str, float]
    left_out: int

    @classmethod
    def of(cls, frames: Sequence[Frame], *, runs: int, broke: list[str], left_out: int) -> "Found":
        """Return what frames show; without any, errors are infinite."""
        by_temperature: dict[str, list[Frame]] = {}
        for frame in frames:
            by_temperature.setdefault(f"{frame.temperature:g}", []).append(frame)
        return cls(
            frames=len(frames),
            runs=runs,
            broke=broke,
            energy_mae=_mean(frame.energy_error for frame in frames),
            forces_mae=_mean(frame.force_error for frame in frames),
            departure=_departure(frames),
            departures={key: _departure(own) for key, own in by_temperature.items()},
            left_out=left_out,
        )

    @property
    def rank(self) -> tuple[float, float]:
        """What models are compared by: runs that broke, then the departure."""
        return len(self.broke) / max(self.runs, 1), self.departure

    @property
    def told(self) -> str:
        """The errors on one line."""
        parts = ", ".join(f"{100 * d:.2g} % at {t} K" for t, d in self.departures.items())
        broke = f"; {len(self.broke)} of {self.runs} runs broke" if self.broke else ""
        return (
            f"on {self.frames} frames of new dynamics, forces are off by "
            f"{1000 * self.forces_mae:.3g} meV/Å ({parts}) and energies by "
            f"{1000 * self.energy_mae:.3g} meV/atom{broke}"
        )

    def record(self) -> dict[str, Any]:
        """Return plain data, for records."""
        return asdict(self)


def explore(
    model: Model,
    parent: Model,
    starts: StructureStore,
    settings: Refinement,
    *,
    number: int,
    seed: int,
) -> tuple[list[Frame], Found]:
    """Run dynamics with a compressed model and compare the frames with its parent.

    Args:
        model: the compressed model.
        parent: the parent, which labels the frames.
        starts: the structures that runs start from; those of its test split are not used if there
            are others.
        settings: temperatures, lengths and numbers of runs.
        number: number of the round: no two rounds have the same runs.
        seed: seed for everything random.
    """
    config, calculator = _dynamics_of(settings, seed), ModelCalculator(model)
    runs = _runs(_usable(starts), settings, number)
    begun = {start: starts[start].without_labels() for start in {run.start for run in runs}}
    at_rest = {start: _is_at_rest(model, structure) for start, structure in begun.items()}
    mine: list[Structure] = []
    of_run: list[tuple[Run, bool]] = []
    broke: list[str] = []
    for run in tracked(runs, f"dynamics, round {number}", "runs", len(runs)):
        hot = at_rest[run.start]
        trajectory = run_trajectory(begun[run.start], run, config, calculator, hot=hot)
        count = len(trajectory)
        mine += trajectory.frames(range(count), f"round {number}, {run.group('run')}")
        of_run += [(run, bool(trajectory.broke) and i == count - 1) for i in range(count)]
        if trajectory.broke:
            broke.append(f"{trajectory.broke} at {run.temperature:g} K")
            logger.info("round %d: run %d broke: %s", number, run.index, broke[-1])
    found = []
    labelled = label(parent, mine, failures=Failures(), evaluator=faster_evaluator(parent))
    for own, right, (run, last) in zip(mine, labelled, of_run, strict=True):
        if _is_reasonable(right):
            found.append(_frame(own, right, run, last))
    if left_out := len(mine) - len(found):
        logger.warning(
            "round %d: %d frames are left out, whose labels by the parent are not finite or above "
            "%g eV/Å",
            number,
            left_out,
            _MOST_FORCE,
        )
    return found, Found.of(found, runs=len(runs), broke=broke, left_out=left_out)


def _dynamics_of(settings: Refinement, seed: int) -> RunSettings:
    """Return the settings of the runs, all steps of which may be frames.

    There is no equilibration: frames far from equilibrium are worth learning from.
    """
    share = -(-_OFFERED * settings.frames // settings.runs)
    return RunSettings(
        atoms=settings.atoms,
        strain=settings.strain,
        steps=settings.dynamics_steps,
        every=max(1, settings.dynamics_steps // share),
        seed=seed,
        timestep=settings.timestep,
    )


def _runs(usable: np.ndarray, settings: Refinement, number: int) -> list[Run]:
    """Return the runs of a round: temperatures in turn, and structures as they come."""
    temperatures = settings.temperatures
    runs = []
    for index in range(number * settings.runs, (number + 1) * settings.runs):
        turn, place = divmod(index, len(temperatures))
        runs.append(Run(index, int(usable[turn % len(usable)]), temperatures[place]))
    return runs


def _is_at_rest(model: Model, structure: Structure) -> bool:
    (labelled,) = label(model, [structure], failures=Failures())
    return bool(np.linalg.norm(labelled.forces, axis=1).max() < _AT_REST)


def _usable(starts: StructureStore) -> np.ndarray:
    """Return the structures that runs start from: none of the test split, if there are others."""
    usable = np.sort(np.concatenate([starts.splits["train"], starts.splits["valid"]]))
    return usable if len(usable) else np.arange(len(starts))


def _is_reasonable(labelled: Structure) -> bool:
    finite = np.isfinite(labelled.forces).all() and np.isfinite(labelled.energy)
    return bool(finite and np.abs(labelled.forces).max() <= _MOST_FORCE)


def _frame(own: Structure, right: Structure, run: Run, last: bool) -> Frame:
    """Compare the labels of the compressed model and its parent."""
    return Frame(
        structure=right,
        run=run.index,
        temperature=run.temperature,
        energy_error=abs(own.energy - right.energy) / len(right),
        force_error=float(np.abs(own.forces - right.forces).mean()),
        force=float(np.abs(right.forces).mean()),
        last=last,
    )


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return float(np.mean(listed)) if listed else float("inf")


def _departure(frames: Sequence[Frame]) -> float:
    force = sum(frame.force for frame in frames)
    return sum(frame.force_error for frame in frames) / force if force else float("inf")
