"""Molecular dynamics at constant energy, as users of a saved model run it.

Forces that are no derivatives of an energy, and energies that are not smooth, do not keep the total
energy; a model that knows too little of close atoms lets them collapse. Neither is seen in errors
on a test split.
"""

import time
from collections.abc import Iterator

import numpy as np
import torch
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.data import covalent_radii
from ase.md.langevin import Langevin
from ase.md.md import MolecularDynamics
from ase.md.velocitydistribution import (
    MaxwellBoltzmannDistribution,
    Stationary,
    ZeroRotation,
)
from ase.md.verlet import VelocityVerlet
from ase.neighborlist import neighbor_list

from irrepress.core.structure import Structure
from irrepress.data.geometry import overlapping
from irrepress.data.store import StructureStore
from irrepress.evaluation.config import Dynamics
from irrepress.evaluation.physics.records import MeasuredDynamics, Trace

# Of the thermostat, in 1/fs: what a start out of equilibrium holds is gone after some 100 fs.
_FRICTION = 0.05
# How often a run is looked at for collapsed bonds and lost atoms, and points in its trace.
_LOOKS = 100
# Two atoms are neighbours within this many times the sum of their covalent radii, and have
# collapsed within the smaller one.
_NEIGHBOURS, _COLLAPSED = 1.5, 0.5
# A run that becomes hotter than this many times what was asked for explodes.
_EXPLODES = 10.0


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


def supercell(structure: Structure, atoms: int) -> Atoms:
    """Repeat a structure along its periodic directions until it has so many atoms.

    The shortest direction is always repeated next, so that the cell becomes compact.

    Args:
        structure: the structure; a molecule stays as it is.
        atoms: least number of atoms.

    Example:
        >>> from ase.build import bulk
        >>> len(supercell(Structure.unlabelled(bulk("Si", cubic=True)), 50))
        64
    """
    cell = structure.to_atoms()
    repeats = np.ones(3, dtype=int)
    lengths = np.where(cell.pbc, cell.cell.lengths(), np.inf)
    while cell.pbc.any() and len(cell) * repeats.prod() < atoms:
        repeats[np.argmin(lengths * repeats)] += 1
    return cell.repeat(repeats.tolist())


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
    MaxwellBoltzmannDistribution(atoms, temperature_K=settings.temperature, rng=rng)
    _take_out_rigid_motion(atoms)
    thermostat = Langevin(
        atoms,
        timestep,
        temperature_K=settings.temperature,
        friction=_FRICTION / units.fs,
        fixcm=False,  # what moves as a whole is stopped afterwards
        rng=rng,
    )
    watch = _Watch(atoms, settings.temperature)
    for _ in watch.steps(thermostat, settings.equilibration, "with the thermostat"):
        pass
    total: list[float] = []
    kinetic: list[float] = []
    begin = time.perf_counter()
    if watch.broke is None:
        _take_out_rigid_motion(atoms)
        for _ in watch.steps(VelocityVerlet(atoms, timestep), settings.steps, "at constant energy"):
            kinetic.append(atoms.get_kinetic_energy() / len(atoms))
            total.append(atoms.get_potential_energy() / len(atoms) + kinetic[-1])
    seconds = time.perf_counter() - begin
    picoseconds = settings.timestep / 1000 * np.arange(len(total))
    temperatures = np.array([_temperature(energy, len(atoms)) for energy in kinetic])
    whole = watch.broke is None
    thinned = slice(None, None, max(1, settings.steps // _LOOKS))
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


def _temperature(kinetic: float, atoms: int) -> float:
    """Return the temperature in K of atoms whose centre rests.

    Args:
        kinetic: kinetic energy in eV/atom.
        atoms: their number.
    """
    return 2 * kinetic * atoms / (3 * max(1, atoms - 1) * units.kB)


def _take_out_rigid_motion(atoms: Atoms) -> None:
    """Stop the centre of mass, and the rotation of a molecule."""
    Stationary(atoms)
    if not atoms.pbc.any() and len(atoms) > 1:
        with np.errstate(invalid="ignore"):  # of linear molecules one axis has no inertia
            ZeroRotation(atoms)


class _Watch:
    """Looks at atoms while they move, and tells what broke.

    Attributes:
        broke: what went wrong, and when; None as long as nothing did.
    """

    def __init__(self, atoms: Atoms, temperature: float):
        self.broke: str | None = None
        self._atoms = atoms
        self._temperature = temperature
        self._bonded = _with_neighbours(atoms)

    def steps(self, integrator: MolecularDynamics, steps: int, phase: str) -> Iterator[int]:
        """Move the atoms; yield the number of steps that were taken, 0 first, until it breaks."""
        every = max(1, steps // _LOOKS)
        for step, _ in enumerate(integrator.irun(steps)):
            what = self._look(closely=step % every == 0)
            if what is not None:
                self.broke = f"{what} at step {step} {phase}"
                return
            yield step

    def _look(self, closely: bool) -> str | None:
        """Return what is wrong with the atoms as they are now."""
        atoms = self._atoms
        if not np.isfinite([atoms.get_potential_energy(), *atoms.get_forces().flat]).all():
            return "predictions are not finite"
        kinetic = atoms.get_kinetic_energy() / len(atoms)
        if not _temperature(kinetic, len(atoms)) <= _EXPLODES * self._temperature:
            return f"the temperature exceeds {_EXPLODES:g} times that asked for"
        if closely and overlapping(atoms, _COLLAPSED):
            return f"atoms are closer than {_COLLAPSED:g} times the sum of their radii"
        if closely and (lost := self._bonded - _with_neighbours(atoms)):
            return f"atom {min(lost)} has lost all its neighbours"
        return None


def _with_neighbours(atoms: Atoms) -> set[int]:
    """Return the atoms that have neighbours."""
    return set(neighbor_list("i", atoms, _NEIGHBOURS * covalent_radii[atoms.numbers]).tolist())
