"""Frames of molecular dynamics from a dataset's structures, labelled by the model that runs it."""

import logging
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from ase.calculators.calculator import Calculator
from ase.optimize import FIRE
from ase.units import GPa

from irrepress.core.errors import UserError
from irrepress.core.progress import tracked
from irrepress.core.structure import Structure
from irrepress.data.config import Split
from irrepress.data.parallel import ordered_map
from irrepress.data.sources.config import Sampled
from irrepress.data.sources.parents import spread, usable_parents
from irrepress.data.sources.selection import choose_diverse, choose_spaced, share_out
from irrepress.data.sources.trajectory import (
    Describe,
    Run,
    RunSettings,
    Trajectory,
    automatic_timestep,
    run_trajectory,
)
from irrepress.data.splits import PARTS
from irrepress.data.store import StructureStore

logger = logging.getLogger(__name__)

# A structure is relaxed to these forces in eV/Å, within so many steps.
_RELAXED, _RELAXATION = 0.05, 50
# With smaller forces in eV/Å, a start has no thermal motion.
_AT_REST = 0.5
# A structure whose atoms relax by more than this, in Å, is another one for the model.
_MOVED = 0.5


@dataclass(frozen=True)
class Start:
    """A structure that runs start from.

    Attributes:
        structure: the structure, relaxed if that is wanted; unlabelled.
        at_rest: whether forces are so small that it has no thermal motion.
        told: what was done, for the log.
        warning: what is unusual; empty if nothing is.

    Example:
        >>> Start(structures[0].without_labels(), at_rest=True, told="as it is").warning
        ''
    """

    structure: Structure
    at_rest: bool
    told: str
    warning: str = ""


class Sampling:
    """Runs of molecular dynamics and the choice of their frames.

    Every finished run is a file, so that a job that was killed goes on where it was. Runs are
    independent: the same settings give the same frames, however many processes share them.

    Args:
        store: the dataset to start from. Its test split is not used, if it has labels.
        config: settings.
        calculator: the labelling model at full precision.
        folder: where finished runs lie.
        describe: describes frames by the model's features; needed for ``keep: diversity``.
        name: the dataset's name in messages.

    Attributes:
        runs: the runs.
        splits: after `run`, split -> int64 indices of `frames`; a `Split` if frames are not divided
            by runs.

    Raises:
        UserError: if there is no structure to start from, or pressure is asked for a structure that
            is not periodic.

    Example:
        >>> import tempfile
        >>> from irrepress.catalogue.model_ref import ModelRef
        >>> from irrepress.core.calculator import ModelCalculator
        >>> labels = ModelRef(family="sevennet", checkpoint="7net-0")
        >>> config = Sampled(
        ...     source="sampled", of="silicon", temperatures=[300], runs=3, count=6, atoms=2,
        ...     equilibration=1, steps=4, keep="time", labels=labels,
        ... )
        >>> folder = Path(tempfile.mkdtemp())
        >>> sampling = Sampling(store, config, ModelCalculator(model), folder)
        >>> sampling.run()
        >>> len(list(sampling.frames())), {part: len(i) for part, i in sampling.splits.items()}
        (6, {'train': 2, 'valid': 2, 'test': 2})
    """

    splits: dict[str, np.ndarray] | Split

    def __init__(
        self,
        store: StructureStore,
        config: Sampled,
        calculator: Calculator,
        folder: Path,
        describe: Describe | None = None,
        name: str = "sampled",
    ):
        self.store, self.config, self.calculator = store, config, calculator
        self.folder, self.name = folder, name
        self.describe = describe if config.keep == "diversity" else None
        self.runs = _plan(config, usable_parents(store, config.of, name))
        self._chosen: list[np.ndarray] = []
        self._check_pressure()

    def run(self, workers: int = 1) -> None:
        """Make the runs that are not finished yet, and choose frames.

        Args:
            workers: number of processes, each of which makes whole runs.

        Raises:
            UserError: if all runs of a temperature break.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = [run for run in self.runs if not self._file(run).exists()]
        if len(missing) < len(self.runs):
            done = len(self.runs) - len(missing)
            logger.info("%s: %d of %d runs are finished already", self.name, done, len(self.runs))
        starts = self._starts({run.start for run in missing}, workers)
        made = ordered_map(partial(self._make, starts), missing, workers)
        for _ in tracked(made, f"sampling {self.name}", "runs", len(missing)):
            pass
        trajectories = [Trajectory.load(self._file(run)) for run in self.runs]
        self._tell_what_broke([trajectory.broke for trajectory in trajectories])
        self._choose([len(each) for each in trajectories], [t.descriptors for t in trajectories])

    def frames(self) -> Iterator[Structure]:
        """Yield the chosen frames, run by run, labelled."""
        for run, chosen in zip(self.runs, self._chosen, strict=True):
            if len(chosen):
                trajectory = Trajectory.load(self._file(run))
                yield from trajectory.frames(chosen, run.group(self.config.of))

    def __len__(self) -> int:
        return sum(map(len, self._chosen))

    def __str__(self) -> str:
        """Return a summary of what is run."""
        config = self.config
        starts = len({run.start for run in self.runs})
        temperatures = ", ".join(f"{t:g}" for t in config.temperatures)
        pressure = "constant cell" if config.pressure is None else f"{config.pressure:g} GPa"
        automatic = automatic_timestep(np.array(self.store.elements))
        step = f"{config.timestep:g} fs" if config.timestep else f"{automatic:g} fs (automatic)"
        return (
            f"{config.runs} runs from {starts} of {len(self.store)} structures, {temperatures} K, "
            f"{pressure}, {config.equilibration} + {config.steps} steps of {step}"
        )

    def clear(self) -> None:
        """Remove the files of finished runs, once their frames are stored."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, run: Run) -> Path:
        return self.folder / f"run-{run.index:05d}.npz"

    def _check_pressure(self) -> None:
        if self.config.pressure is None:
            return
        for start in sorted({run.start for run in self.runs}):
            if not self.store[start].pbc.all():
                raise UserError(
                    f"datasets.{self.name}.pressure: structure {start} of {self.config.of} is not "
                    "periodic in three directions; remove pressure, or the structure"
                )

    def _starts(self, indices: set[int], workers: int) -> dict[int, Start]:
        """Prepare structures in processes of their own, as runs are; tell what was done."""
        ordered = sorted(indices)
        prepare = partial(_prepare, self.calculator, self.config.relax)
        items = ((index, self.store[index].without_labels()) for index in ordered)
        starts = dict(zip(ordered, ordered_map(prepare, items, workers), strict=True))
        for start in starts.values():
            logger.info("%s: %s", self.name, start.told)
            if start.warning:
                logger.warning("%s: %s", self.name, start.warning)
        return starts

    def _make(self, starts: dict[int, Start], run: Run) -> None:
        start = starts[run.start]
        trajectory = run_trajectory(
            start.structure,
            run,
            RunSettings.of(self.config),
            self.calculator,
            self.describe,
            hot=start.at_rest,
        )
        trajectory.save(self._file(run))

    def _tell_what_broke(self, broke: Sequence[str]) -> None:
        mend = "lower the temperature or timestep"
        mend += "" if self.config.relax else ", or set relax: true"
        for run, what in zip(self.runs, broke, strict=True):
            if what:
                logger.warning(
                    "%s: run %d at %g K was cut off at its last sound frame: %s; %s",
                    self.name,
                    run.index,
                    run.temperature,
                    what,
                    mend,
                )
        for temperature in self.config.temperatures:
            own = [w for r, w in zip(self.runs, broke, strict=True) if r.temperature == temperature]
            if all(own):
                raise UserError(
                    f"datasets.{self.name}.temperatures: all {len(own)} runs at {temperature:g} K "
                    f"broke (the first: {own[0]}); {mend}, or start from another structure"
                )

    def _choose(self, available: list[int], descriptors: list[np.ndarray]) -> None:
        count = self.config.count
        shares = share_out(count, available)
        if (found := sum(shares)) < count:
            logger.warning("%s: only %d frames instead of count: %d", self.name, found, count)
        if self.describe is None:
            self._chosen = choose_spaced(available, shares)
        else:
            self._chosen = choose_diverse(descriptors, shares)
        logger.info("%s: %d of %d frames are kept", self.name, found, sum(available))
        self.splits = self.config.split
        if self.config.split.by == "group":
            self.splits = self._divide()

    def _divide(self) -> dict[str, np.ndarray]:
        used = [index for index, chosen in enumerate(self._chosen) if len(chosen)]
        temperatures = [self.runs[index].temperature for index in used]
        ends = np.cumsum([0, *(len(self._chosen[index]) for index in used)])
        divided = divide_runs(temperatures, self.config.split)
        splits = {}
        for part, members in divided.items():
            frames = [np.arange(ends[i], ends[i + 1]) for i in sorted(members)]
            splits[part] = np.concatenate([np.empty(0, dtype=np.int64), *frames])
            own = {temperatures[i] for i in members}
            lacking = [t for t in self.config.temperatures if t not in own]
            if members and lacking:
                logger.warning(
                    "%s: the %s split has no run at %s K, because %d runs are too few; raise runs",
                    self.name,
                    part,
                    ", ".join(f"{t:g}" for t in lacking),
                    len(used),
                )
        return splits


def divide_runs(temperatures: Sequence[float], split: Split) -> dict[str, list[int]]:
    """Divide runs among splits, so that each has every temperature as far as possible.

    Args:
        temperatures: of each run, in K.
        split: the fractions; every split with one above 0 gets at least one run.

    Returns:
        Split -> indices of runs.

    Raises:
        UserError: if there are fewer runs than splits.

    >>> divide_runs([300, 900] * 3, Split(train=0.6, valid=0.2, test=0.2))
    {'train': [0, 1, 2, 3], 'valid': [4], 'test': [5]}
    """
    wanted = {part: getattr(split, part) for part in PARTS if getattr(split, part) > 0}
    if len(temperatures) < len(wanted):
        raise UserError(
            f"split: {len(temperatures)} runs with frames are too few for the splits "
            f"{', '.join(wanted)}; raise runs, or set the fraction of a split to 0"
        )
    free: dict[float, list[int]] = {}
    for index, temperature in enumerate(temperatures):
        free.setdefault(temperature, []).append(index)
    middle = (min(free) + max(free)) / 2
    sizes = _sizes(len(temperatures), wanted)
    divided: dict[str, list[int]] = {part: [] for part in PARTS}
    for part in [p for p in ("test", "valid") if p in wanted and "train" in wanted]:
        taken: Counter[float] = Counter()
        for _ in range(sizes[part]):
            # One that the split has least of, of which most runs are left; the extremes first.
            temperature = max(
                (t for t in free if free[t]),
                key=lambda t: (-taken[t], len(free[t]), abs(t - middle), t),
            )
            divided[part].append(free[temperature].pop())
            taken[temperature] += 1
    rest = sorted(index for indices in free.values() for index in indices)
    others = [part for part in wanted if not divided[part]]
    for part in others:
        divided[part], rest = rest[: sizes[part]], rest[sizes[part] :]
    return {part: sorted(members) for part, members in divided.items()}


def _sizes(runs: int, wanted: dict[str, float]) -> dict[str, int]:
    """Return how many runs each split gets: at least one, close to the fractions."""
    sizes = {part: max(1, int(fraction * runs)) for part, fraction in wanted.items()}
    while (excess := sum(sizes.values()) - runs) != 0:
        gaps = {part: wanted[part] * runs - sizes[part] for part in wanted}
        if excess < 0:
            sizes[max(gaps, key=gaps.__getitem__)] += 1
        else:
            sizes[min((p for p in gaps if sizes[p] > 1), key=gaps.__getitem__)] -= 1
    return sizes


def _plan(config: Sampled, usable: np.ndarray) -> list[Run]:
    """Return the runs: temperatures in turn, each structure at every temperature if possible."""
    rounds = -(-config.runs // len(config.temperatures))
    starts = spread(usable, rounds)
    runs = []
    for index in range(config.runs):
        turn, place = divmod(index, len(config.temperatures))
        start = int(starts[turn % len(starts)])
        runs.append(Run(index, start, config.temperatures[place]))
    return runs


def _prepare(calculator: Calculator, relax: bool, item: tuple[int, Structure]) -> Start:
    """Relax the atoms of a structure in its cell, if that is wanted."""
    index, structure = item
    atoms = structure.to_atoms()
    atoms.calc = calculator
    before = _largest(atoms.get_forces())
    if not np.isfinite(before):
        raise UserError(
            f"structure {index} ({atoms.get_chemical_formula()}): the model's forces are not "
            "finite; remove the structure, or check its cell and positions"
        )
    steps = 0
    if relax and before > _RELAXED:
        optimizer = FIRE(atoms, logfile=None)
        optimizer.run(fmax=_RELAXED, steps=_RELAXATION)
        steps = optimizer.nsteps
    after = _largest(atoms.get_forces())
    what = f"structure {index} ({atoms.get_chemical_formula()})"
    told = f"{what}: largest force {before:.3g} eV/Å"
    moved = _largest(atoms.positions - structure.positions)
    if steps:
        told += f", {after:.3g} after {steps} steps of relaxation by up to {moved:.2g} Å"
    if structure.pbc.all():
        told += f"; pressure {-atoms.get_stress()[:3].mean() / GPa:.3g} GPa"
    warning = ""
    if moved > _MOVED:
        warning = (
            f"{what}: the model relaxes it by {moved:.2g} Å, into another structure; check it, or "
            "set relax: false"
        )
    relaxed = replace(structure, positions=atoms.get_positions())
    return Start(relaxed, bool(after < _AT_REST), told, warning)


def _largest(vectors: np.ndarray) -> float:
    return float(np.linalg.norm(vectors, axis=1).max())
