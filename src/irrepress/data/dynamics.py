"""Molecular dynamics with ASE: what runs begin with, and a watch that tells when one breaks."""

from collections.abc import Iterator

import numpy as np
from ase import Atoms, units
from ase.data import covalent_radii
from ase.md.langevin import Langevin
from ase.md.md import MolecularDynamics
from ase.md.velocitydistribution import (
    MaxwellBoltzmannDistribution,
    Stationary,
    ZeroRotation,
)
from ase.neighborlist import neighbor_list

from irrepress.core.structure import Structure
from irrepress.data.geometry import overlapping

# How often a run is checked for collapsed bonds and lost atoms, unless it is told otherwise.
_LOOKS = 100
# Two atoms are neighbours within this many times the sum of their covalent radii, and have
# collapsed within the smaller one.
_NEIGHBOURS, _COLLAPSED = 1.5, 0.5
# A run that becomes hotter than this many times what was asked for explodes.
_EXPLODES = 10.0


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


def temperature_of(kinetic: float, atoms: int) -> float:
    """Return the temperature in K of atoms whose centre of mass is at rest.

    Args:
        kinetic: kinetic energy in eV/atom.
        atoms: number of atoms.
    """
    return 2 * kinetic * atoms / (3 * max(1, atoms - 1) * units.kB)


def stop_rigid_motion(atoms: Atoms) -> None:
    """Stop the motion of the centre of mass, and the rotation of a molecule."""
    Stationary(atoms)
    if not atoms.pbc.any() and len(atoms) > 1:
        with np.errstate(invalid="ignore"):  # of linear molecules one axis has no inertia
            ZeroRotation(atoms)


def start_moving(atoms: Atoms, temperature: float, rng: np.random.Generator) -> None:
    """Give atoms random velocities of a temperature in K, without motion as a whole."""
    MaxwellBoltzmannDistribution(atoms, temperature_K=temperature, rng=rng)
    stop_rigid_motion(atoms)


def langevin(
    atoms: Atoms, timestep: float, temperature: float, friction: float, rng: np.random.Generator
) -> Langevin:
    """Return ASE's Langevin thermostat.

    It does not fix the centre of mass; `stop_rigid_motion` stops what moves as a whole.

    Args:
        atoms: the atoms that move.
        timestep: in fs.
        temperature: in K.
        friction: in 1/fs.
        rng: generator of the random forces.
    """
    return Langevin(
        atoms,
        timestep * units.fs,
        temperature_K=temperature,
        friction=friction / units.fs,
        fixcm=False,
        rng=rng,
    )


class Watch:
    """Checks atoms while they move, and tells when and how a run breaks.

    A run breaks if predictions are not finite, two atoms collapse, an atom loses all its
    neighbours, or the temperature explodes.

    Args:
        atoms: the atoms that move, at their start.
        temperature: the temperature that was asked for, in K.

    Attributes:
        broke: what went wrong, and when; None as long as nothing did.

    Example:
        >>> from ase.build import bulk
        >>> from ase.calculators.emt import EMT
        >>> from ase.md.verlet import VelocityVerlet
        >>> atoms = bulk("Cu", cubic=True)
        >>> atoms.calc = EMT()
        >>> watch = Watch(atoms, temperature=300)
        >>> list(watch.steps(VelocityVerlet(atoms, units.fs), 3, "at constant energy"))
        [0, 1, 2, 3]
    """

    def __init__(self, atoms: Atoms, temperature: float):
        self.broke: str | None = None
        self._atoms = atoms
        self._temperature = temperature
        self._bonded = _with_neighbours(atoms)

    def steps(
        self, integrator: MolecularDynamics, steps: int, phase: str, every: int | None = None
    ) -> Iterator[int]:
        """Move the atoms; yield the number of steps taken, 0 first, until the run breaks.

        Args:
            integrator: moves the atoms.
            steps: number of steps.
            phase: the part of the run, for `broke`.
            every: number of steps between checks of distances, which take longer than the others;
                None: about a hundred checks in all.
        """
        every = every or max(1, steps // _LOOKS)
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
        if not temperature_of(kinetic, len(atoms)) <= _EXPLODES * self._temperature:
            return f"the temperature exceeds {_EXPLODES:g} times that asked for"
        if closely and overlapping(atoms, _COLLAPSED):
            return f"atoms are closer than {_COLLAPSED:g} times the sum of their radii"
        if closely and (lost := self._bonded - _with_neighbours(atoms)):
            return f"atom {min(lost)} has lost all its neighbours"
        return None


def _with_neighbours(atoms: Atoms) -> set[int]:
    """Return the atoms that have neighbours."""
    return set(neighbor_list("i", atoms, _NEIGHBOURS * covalent_radii[atoms.numbers]).tolist())
