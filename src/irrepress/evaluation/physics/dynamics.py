"""Molecular dynamics at constant energy, as users of a saved model run it.

Forces that are no derivatives of an energy, and energies that are not smooth, do not keep the total
energy; a model that knows too little of close atoms lets them collapse. Neither is seen in errors
on a test split.
"""

import time

import numpy as np
import torch
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.md.verlet import VelocityVerlet

from irrepress.core.structure import Structure
from irrepress.data.dynamics import (
    Watch,
    langevin,
    start_moving,
    stop_rigid_motion,
    temperature_of,
)
from irrepress.data.store import StructureStore
from irrepress.evaluation.config import Dynamics
from irrepress.evaluation.physics.records import MeasuredDynamics, Trace

# Of the thermostat, in 1/fs: what a start out of equilibrium holds is gone after some 100 fs.
STRONG_FRICTION = 0.05
# Number of points in the trace of a run.
_POINTS = 100


def choose_start(store: StructureStore, *, split: str = "test") -> tuple[Structure, str]:
    """Return the structure of a split that is nearest to equilibrium by its labels, and its name.

    That is the one whose forces are smallest; without labels, the first one.

    Raises:
        UserError: if the split is empty.
    """
    indices = [int(index) for index in store.require(split)]
    forces = [float(np.sqrt(np.square(store[index].forces).mean())) for index in indices]
    chosen = indices[int(np.argmin(np.nan_to_num(forces, nan=np.inf)))]
    return store[chosen].without_labels(), f"structure {chosen} ({split} split)"


def run_dynamics(
    atoms: Atoms,
    calculator: Calculator,
    settings: Dynamics,
    *,
    seed: int,
    dataset: str,
    source: str,
    code: str,
    device: str,
) -> MeasuredDynamics:
    """Run dynamics at constant energy, after some steps with a thermostat, and measure it.

    A run ends early where it breaks: predictions are not finite, two atoms collapse, an atom loses
    all its neighbours, or the temperature explodes.

    Args:
        atoms: what is run; it is moved.
        calculator: computes energies and forces, as users of the model do.
        settings: temperature, time step and numbers of steps.
        seed: seed for velocities and thermostat; the same for models that are compared.
        dataset: name of the dataset that the structure is from, for the record.
        source: where in it, for the record.
        code: the code that the calculator runs, for the record.
        device: where it runs, for the record.
    """
    rng = np.random.default_rng(seed)
    atoms.calc = calculator
    timestep = settings.timestep * units.fs
    start_moving(atoms, settings.temperature, rng)
    thermostat = langevin(atoms, settings.timestep, settings.temperature, STRONG_FRICTION, rng)
    watch = Watch(atoms, settings.temperature)
    for _ in watch.steps(thermostat, settings.equilibration, "with the thermostat"):
        pass
    total: list[float] = []
    kinetic: list[float] = []
    begin = time.perf_counter()
    if watch.broke is None:
        stop_rigid_motion(atoms)
        for _ in watch.steps(VelocityVerlet(atoms, timestep), settings.steps, "at constant energy"):
            kinetic.append(atoms.get_kinetic_energy() / len(atoms))
            total.append(atoms.get_potential_energy() / len(atoms) + kinetic[-1])
    seconds = time.perf_counter() - begin
    picoseconds = settings.timestep / 1000 * np.arange(len(total))
    temperatures = np.array([temperature_of(energy, len(atoms)) for energy in kinetic])
    whole = watch.broke is None
    thinned = slice(None, None, max(1, settings.steps // _POINTS))
    return MeasuredDynamics(
        dataset=dataset,
        source=source,
        formula=atoms.get_chemical_formula(),
        atoms=len(atoms),
        wanted_temperature=settings.temperature,
        timestep=settings.timestep,
        steps=settings.steps,
        equilibration=settings.equilibration,
        seed=seed,
        code=code,
        device=device,
        threads=torch.get_num_threads(),
        broke=watch.broke,
        **_statistics(picoseconds, np.array(total), np.array(kinetic), temperatures, whole),
        steps_per_second=settings.steps / seconds if whole else None,
        trace=Trace(
            picoseconds=picoseconds[thinned].tolist(),
            energy=[energy - total[0] for energy in total[thinned]],
            temperature=temperatures[thinned].tolist(),
        ),
    )


def _statistics(
    picoseconds: np.ndarray,
    total: np.ndarray,
    kinetic: np.ndarray,
    temperatures: np.ndarray,
    whole: bool,
) -> dict[str, float | None]:
    """Return what is known of a run that stayed whole."""
    names = (
        "drift",
        "fluctuation",
        "kinetic_fluctuation",
        "temperature",
        "temperature_fluctuation",
    )
    if not whole:
        return dict.fromkeys(names)
    slope, start = np.polyfit(picoseconds, total - total[0], 1)
    rest = total - total[0] - start - slope * picoseconds
    values = (slope, rest.std(), kinetic.std(), temperatures.mean(), temperatures.std())
    return dict(zip(names, map(float, values), strict=True))
