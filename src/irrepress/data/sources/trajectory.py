"""One run of molecular dynamics, whose frames become structures of a dataset."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.md.langevinbaoab import LangevinBAOAB

from irrepress.core.errors import UserError
from irrepress.core.files import atomic_path
from irrepress.core.structure import Structure
from irrepress.data.checks import check_structure
from irrepress.data.dynamics import Watch, start_moving, supercell
from irrepress.data.sources.config import Sampled
from irrepress.data.sources.strain import deformed, draw_strain, periodic_directions

# A function from structures to descriptors, [structures, columns].
Describe = Callable[[Sequence[Structure]], np.ndarray]

# Time constants of thermostat and barostat in fs. Runs are short: the thermostat has to take up
# what the strained start holds within the equilibration.
_THERMOSTAT, _BAROSTAT = 40.0, 400.0
# Frames offered for each one that is kept, so that there is a choice.
_OFFERED = 2


@dataclass(frozen=True)
class Run:
    """A run to be made.

    Attributes:
        index: its number.
        start: index of the structure in the store that it starts from.
        temperature: in K.

    Example:
        >>> Run(index=3, start=0, temperature=300).group("quartz")
        'quartz/0/300K/3'
    """

    index: int
    start: int
    temperature: float

    def group(self, dataset: str) -> str:
        """Return the group of its frames, which start from a structure of a dataset."""
        return f"{dataset}/{self.start}/{self.temperature:g}K/{self.index}"


@dataclass(frozen=True)
class RunSettings:
    """What all runs of one kind share.

    Attributes:
        atoms: least number of atoms that periodic structures are repeated to.
        strain: maximum component of a run's random strain.
        steps: number of steps that frames are from.
        every: number of steps between frames.
        seed: with the number of a run it determines everything random.
        equilibration: number of steps before the first frame.
        timestep: in fs; None: that of `automatic_timestep`.
        pressure: in GPa, at which the cell may change; None: constant cell.

    Example:
        >>> RunSettings(atoms=64, strain=0.02, steps=48, every=6, seed=0).equilibration
        0
    """

    atoms: int
    strain: float
    steps: int
    every: int
    seed: int
    equilibration: int = 0
    timestep: float | None = None
    pressure: float | None = None

    @classmethod
    def of(cls, config: Sampled) -> "RunSettings":
        """Return the settings of the runs of a sampled dataset."""
        share = -(-config.count // config.runs)
        wanted = share * (_OFFERED if config.keep == "diversity" else 1)
        return cls(
            atoms=config.atoms,
            strain=config.strain,
            steps=config.steps,
            every=max(1, config.steps // wanted),
            seed=config.seed,
            equilibration=config.equilibration,
            timestep=config.timestep,
            pressure=config.pressure,
        )


@dataclass(frozen=True)
class Trajectory:
    """The frames that a run offers, with their labels.

    Attributes:
        numbers: atomic numbers, ``[atoms]``.
        pbc: periodicity, ``[3]``.
        positions: ``[frames, atoms, 3]`` in Å.
        cells: ``[frames, 3, 3]`` in Å.
        energies: ``[frames]`` in eV.
        forces: ``[frames, atoms, 3]`` in eV/Å.
        stresses: ``[frames, 6]`` in eV/Å^3; NaN where not periodic in all directions.
        descriptors: ``[frames, columns]``; no columns if frames are kept by time.
        broke: what went wrong after the last frame; empty if nothing did.

    Example:
        >>> from ase.build import bulk
        >>> from ase.calculators.emt import EMT
        >>> settings = RunSettings(atoms=64, strain=0.02, steps=48, every=3, seed=0)
        >>> copper = Structure.unlabelled(bulk("Cu", cubic=True))
        >>> run = Run(index=0, start=0, temperature=300)
        >>> trajectory = run_trajectory(copper, run, settings, EMT())
        >>> len(trajectory), trajectory.broke
        (16, '')
    """

    numbers: np.ndarray
    pbc: np.ndarray
    positions: np.ndarray
    cells: np.ndarray
    energies: np.ndarray
    forces: np.ndarray
    stresses: np.ndarray
    descriptors: np.ndarray
    broke: str = ""

    def __len__(self) -> int:
        return len(self.energies)

    def frames(self, indices: Sequence[int] | np.ndarray, group: str) -> Iterator[Structure]:
        """Yield some of the frames, labelled."""
        for index in indices:
            yield Structure(
                numbers=self.numbers,
                positions=self.positions[index],
                cell=self.cells[index],
                pbc=self.pbc,
                energy=float(self.energies[index]),
                forces=self.forces[index],
                stress=self.stresses[index],
                group=group,
            )

    def save(self, path: Path) -> None:
        """Write the trajectory atomically."""
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> "Trajectory":
        """Read a trajectory that `save` wrote."""
        with np.load(path) as arrays:
            content = {name: arrays[name] for name in arrays.files}
        return cls(**{**content, "broke": str(content["broke"])})


def automatic_timestep(numbers: np.ndarray) -> float:
    """Return a time step in fs for atoms: a tenth of the shortest period, or less.

    >>> automatic_timestep(np.array([14, 8])), automatic_timestep(np.array([6, 1]))
    (2.0, 1.0)
    """
    return 1.0 if (numbers == 1).any() else 2.0


def run_trajectory(
    structure: Structure,
    run: Run,
    settings: RunSettings,
    calculator: Calculator,
    describe: Describe | None = None,
    *,
    hot: bool = True,
) -> Trajectory:
    """Run Langevin dynamics from a structure and return the frames that it offers.

    The integrator is ASE's BAOAB (Leimkuhler and Matthews, J. Chem. Phys. 138, 174102, 2013), with
    a Langevin barostat of a flexible cell if there is a pressure (Quigley and Probert, J. Chem.
    Phys. 120, 11432, 2004). If the run breaks (see `irrepress.data.dynamics.Watch`), it ends before
    that frame.

    Args:
        structure: the start, which is repeated and strained.
        run: temperature and number of the run, which with the seed determines everything random.
        settings: what it shares with other runs.
        calculator: computes energies, forces and stress, which become the labels.
        describe: describes frames, for their choice by diversity; None: they are not described.
        hot: whether velocities are those of twice the temperature, for a start without thermal
            motion: half of the kinetic energy turns into potential energy within a few steps.
    """
    rng = np.random.default_rng([settings.seed, run.index])
    strain = draw_strain(periodic_directions(structure), settings.strain, rng)
    atoms = deformed(supercell(structure, settings.atoms), strain)
    atoms.calc = calculator
    start_moving(atoms, run.temperature * (1 + hot), rng)
    watch, every = Watch(atoms, run.temperature), settings.every
    frames: list[Structure] = []
    broke = None
    total = settings.equilibration + settings.steps
    for step in watch.steps(_integrator(atoms, run, settings, rng), total, "of the run", every):
        after = step - settings.equilibration
        if after > 0 and after % every == 0:
            frame = _labelled(atoms)
            try:
                check_structure(frame, f"step {step} of the run")
            except UserError as error:
                broke = str(error).split(";")[0]
                break
            frames.append(frame)
    described = describe(frames) if describe and frames else np.empty((len(frames), 0))
    return _joined(atoms, frames, described, broke or watch.broke or "")


def _integrator(
    atoms: Atoms, run: Run, settings: RunSettings, rng: np.random.Generator
) -> LangevinBAOAB:
    timestep = settings.timestep or automatic_timestep(atoms.numbers)
    barostat = {}
    if settings.pressure is not None:
        stress = -settings.pressure * units.GPa
        barostat = {"externalstress": stress, "P_tau": _BAROSTAT * units.fs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the mass of the barostat is ASE's default
        return LangevinBAOAB(
            atoms,
            timestep * units.fs,
            temperature_K=run.temperature,
            T_tau=_THERMOSTAT * units.fs,
            rng=rng,
            **barostat,
        )


def _labelled(atoms: Atoms) -> Structure:
    """Return the atoms as they are now, with what the calculator has computed for them."""
    stress = atoms.get_stress() if atoms.pbc.all() else np.full(6, np.nan)
    return Structure(
        numbers=atoms.get_atomic_numbers(),
        positions=atoms.get_positions(),
        cell=np.array(atoms.cell),
        pbc=atoms.get_pbc(),
        energy=float(atoms.get_potential_energy()),
        forces=atoms.get_forces(),
        stress=stress,
    )


def _joined(
    atoms: Atoms, frames: Sequence[Structure], descriptors: np.ndarray, broke: str
) -> Trajectory:
    def stacked(name: str, shape: tuple[int, ...]) -> np.ndarray:
        arrays = [getattr(frame, name) for frame in frames]
        return np.array(arrays, dtype=np.float64).reshape(len(frames), *shape)

    return Trajectory(
        numbers=atoms.get_atomic_numbers(),
        pbc=atoms.get_pbc(),
        positions=stacked("positions", (len(atoms), 3)),
        cells=stacked("cell", (3, 3)),
        energies=stacked("energy", ()),
        forces=stacked("forces", (len(atoms), 3)),
        stresses=stacked("stress", (6,)),
        descriptors=descriptors,
        broke=broke,
    )
