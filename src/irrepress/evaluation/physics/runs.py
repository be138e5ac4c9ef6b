"""Dynamics with a model beside its parent: conserved energy, stability, distributions, volume."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.md.md import MolecularDynamics
from ase.md.nptberendsen import NPTBerendsen
from ase.md.verlet import VelocityVerlet

from irrepress.core.structure import Structure
from irrepress.data.dynamics import Watch, langevin, start_moving, stop_rigid_motion, supercell
from irrepress.evaluation.physics.case import Case, Found, NotDone, Values
from irrepress.evaluation.physics.config import ValidationSettings
from irrepress.evaluation.physics.distributions import (
    diffusion,
    displacements,
    distance_of_distributions,
    mean_distributions,
    pair_weights,
    radial_distributions,
)
from irrepress.evaluation.physics.dynamics import STRONG_FRICTION

# In 1/fs, of the thermostat during a run: it hardly disturbs diffusion.
_WEAK = 0.01
# Share of the time limit that steps are planned for, and the one at which a run ends.
_PLANNED, _ENDS = 0.92, 0.97
# Where the time is short: shares of the steps for equilibration, and for constant energy.
_EQUILIBRATING, _CONSERVING = 0.2, 0.4
# Steps that the time of one is taken from.
_PACED = 4
# A part of a run that takes this many times as long as planned ends at a share of the time limit.
_SLOWER, _EQUILIBRATION_ENDS, _NVE_ENDS = 1.5, 0.35, 0.65
# Steps between checks of distances.
_LOOKS = 20
# fs between snapshots, and their largest number.
_SPACING, _MOST_SNAPSHOTS = 10.0, 1000
# ps. Shorter runs tell nothing of a drift, of a volume or of distributions.
_LEAST_NVE, _LEAST_NPT, _LEAST_NVT, _LEAST_RDF = 0.2, 0.4, 0.1, 0.5
# ps. What a start out of equilibrium holds is mostly gone after so long with a strong thermostat.
_LEAST_EQUILIBRATION = 0.1
# Å. An element is mobile whose atoms move farther in a run than they vibrate.
_MOBILE = 1.5
# fs and GPa: of the barostat, whose result depends on neither.
_TAU_P, _STIFFNESS = 200.0, 50.0
# What a parent does not keep itself is not asked of its model, with this much to spare.
_SPARE = 1.5


@dataclass(frozen=True)
class _Snapshot:
    """Atoms at one time of a run, with what the model predicts of them."""

    atoms: Atoms
    energy: float
    forces: np.ndarray
    stress: np.ndarray | None

    @classmethod
    def of(cls, atoms: Atoms) -> "_Snapshot":
        periodic = bool(atoms.pbc.all())
        copied = Atoms(atoms.numbers, atoms.positions.copy(), cell=atoms.cell.copy(), pbc=atoms.pbc)
        stress = atoms.get_stress() if periodic else None
        return cls(copied, float(atoms.get_potential_energy()), atoms.get_forces().copy(), stress)

    def record(self) -> Values:
        """Return it as plain data."""
        return {
            "positions": self.atoms.positions.tolist(),
            "cell": np.array(self.atoms.cell).tolist(),
            "energy": self.energy,
            "forces": self.forces.tolist(),
            "stress": None if self.stress is None else self.stress.tolist(),
        }


@dataclass(frozen=True)
class Timesteps:
    """Time steps of runs in fs.

    Attributes:
        conserving: at constant energy.
        coupled: with a thermostat, which mends what longer steps lose.

    Example:
        >>> from ase.build import bulk
        >>> Timesteps.of(bulk("Cu"), ValidationSettings())
        Timesteps(conserving=1.0, coupled=2.0)
    """

    conserving: float
    coupled: float

    @classmethod
    def of(cls, atoms: Atoms, settings: ValidationSettings) -> "Timesteps":
        """Return them as the settings say, else by whether there is hydrogen."""
        if settings.timestep is not None:
            return cls(settings.timestep, settings.timestep)
        return cls(0.5, 1.0) if 1 in atoms.numbers else cls(1.0, 2.0)


@dataclass(frozen=True)
class Lengths:
    """Numbers of steps of the parts of a run.

    Attributes:
        equilibration: with a strong thermostat.
        conserving: at constant energy.
        coupled: with a weak thermostat.

    Example:
        >>> Lengths(150, 3000, 10_000).fitting(1000, Lengths(50, 200, 50))
        Lengths(equilibration=150, conserving=340, coupled=510)
    """

    equilibration: int
    conserving: int
    coupled: int

    @classmethod
    def of(cls, picoseconds: tuple[float, float, float], timesteps: Timesteps) -> "Lengths":
        """Return the numbers of steps that times in ps are."""
        steps = (timesteps.coupled, timesteps.conserving, timesteps.coupled)
        return cls(
            *(round(1000 * time / step) for time, step in zip(picoseconds, steps, strict=True))
        )

    def fitting(self, steps: int, least: "Lengths", *, conserve: bool = True) -> "Lengths | None":
        """Shorten a run to so many steps; None where not even the least would fit.

        Args:
            steps: in all.
            least: of each part.
            conserve: whether to keep the part at constant energy where it would be shorter than
                the least.
        """
        if sum((self.equilibration, self.conserving, self.coupled)) <= steps:
            return self
        first = min(self.equilibration, max(least.equilibration, round(_EQUILIBRATING * steps)))
        rest = steps - first
        second = min(self.conserving, round(_CONSERVING * rest))
        if second < min(self.conserving, least.conserving):
            second = least.conserving if conserve else 0
        third = min(self.coupled, rest - second)
        if third < min(self.coupled, least.coupled):
            return None
        return Lengths(first, second, third)


def measure_dynamics(case: Case, temperature: float) -> Values:
    """Run dynamics at constant energy, then with a thermostat, as long as the time suffices.

    Raises:
        NotDone: there is no time for a run that tells something.
    """
    settings = case.settings
    atoms, timesteps = _begin(case, temperature)
    watch = Watch(atoms, temperature)
    rng = np.random.default_rng([case.seed, 1, round(temperature)])
    wanted = Lengths.of(
        (settings.equilibration_picoseconds, settings.nve_picoseconds, settings.picoseconds),
        timesteps,
    )
    least = Lengths.of((_LEAST_EQUILIBRATION, _LEAST_NVE, _LEAST_NVT), timesteps)
    # What a parent keeps limits what is asked of its models, who are measured with or without it.
    lengths, pace = _planned(case, atoms, wanted, least, conserve=case.parent is not None)
    equilibrated = _equilibrate(case, atoms, watch, temperature, rng, lengths, pace)
    found: Values = {
        "temperature": temperature,
        "timesteps": [timesteps.conserving, timesteps.coupled],
        "formula": atoms.get_chemical_formula(),
        "numbers": atoms.numbers.tolist(),
        "pbc": atoms.pbc.tolist(),
        "broke": watch.broke,
        "equilibration": equilibrated,
        "nve": {"picoseconds": 0.0},
        "picoseconds": 0.0,
        "frames": [],
    }
    if watch.broke is None and lengths.conserving:
        found["nve"] = _constant_energy(case, atoms, watch, lengths.conserving, pace)
    snapshots: list[_Snapshot] = []
    if watch.broke is None:
        steps, femtoseconds = max(1, lengths.coupled), timesteps.coupled
        every = max(1, round(_SPACING / femtoseconds), -(-steps // _MOST_SNAPSHOTS))
        thermostat = langevin(atoms, femtoseconds, temperature, _WEAK, rng)
        for step in _timed(case, watch, thermostat, steps, "with the thermostat", None):
            found["picoseconds"] = step * femtoseconds / 1000
            if step % every == 0 and step > 0:
                snapshots.append(_Snapshot.of(atoms))
        found["interval"] = every * femtoseconds / 1000
    found["broke"] = watch.broke
    enough = found["picoseconds"] >= 0.99 * min(_LEAST_NVT, settings.picoseconds)
    if watch.broke is None and enough and len(snapshots) > 1:
        found |= _distributions(snapshots)
        chosen = np.linspace(0, len(snapshots) - 1, settings.frames).round().astype(int)
        found["frames"] = [snapshots[index].record() for index in sorted(set(chosen.tolist()))]
    return found


def judge_dynamics(
    own: Values, parents: Mapping[str, Values], settings: ValidationSettings, temperature: float
) -> Iterator[Found]:
    """Yield the verdicts on a run; on stability and energy also where the parent has none."""
    parent = parents.get(f"dynamics {temperature:g} K")
    at = f"at {temperature:g} K"
    yield _stability(own, parent, settings, at)
    yield from _energy(own["nve"], parent["nve"] if parent else {}, settings, at, own["broke"])
    if parent is None:
        return
    if "rdf" not in own or "rdf" not in parent:
        who = "the parent's" if "rdf" in own else "its"
        remark = f"{who} run is too short, or broke"
        yield Found(f"RDF {at}", None, remark=remark, essential=False)
        return
    yield _rdf(own, parent, settings, at)
    yield from _mobile(own, parent, settings, at)


def measure_volume(case: Case) -> Values:
    """Run dynamics at constant pressure (0 GPa) at the highest temperature.

    Raises:
        NotDone: there was no time for a run that tells something.
    """
    temperature = max(case.settings.temperatures)
    atoms, timesteps = _begin(case, temperature)
    watch = Watch(atoms, temperature)
    rng = np.random.default_rng([case.seed, 2, round(temperature)])
    length = max(_LEAST_NPT + 0.1, case.settings.picoseconds / 4)
    wanted = Lengths.of((case.settings.equilibration_picoseconds, 0, length), timesteps)
    least = Lengths.of((_LEAST_EQUILIBRATION, 0, _LEAST_NPT), timesteps)
    lengths, pace = _planned(case, atoms, wanted, least)
    equilibrated = _equilibrate(case, atoms, watch, temperature, rng, lengths, pace)
    femtoseconds = timesteps.coupled
    known = case.own if case.parent is None else case.parent
    modulus = max(1.0, float(known.get("eos", {}).get("bulk_modulus") or _STIFFNESS))
    barostat = NPTBerendsen(
        atoms,
        femtoseconds * units.fs,
        temperature_K=temperature,
        pressure_au=0.0,
        taut=100 * units.fs,
        taup=_TAU_P * units.fs,
        compressibility_au=1 / (modulus * units.GPa),
    )
    begun, volumes = atoms.get_volume(), []
    if watch.broke is None:
        steps = lengths.coupled
        for _ in _timed(case, watch, barostat, steps, "at constant pressure", None):
            volumes.append(atoms.get_volume() / len(atoms))
            if not 0.5 < atoms.get_volume() / begun < 2:
                watch.broke = "the volume halves or doubles"
                break
    picoseconds = len(volumes) * femtoseconds / 1000
    if watch.broke is None and picoseconds < _LEAST_NPT:
        raise NotDone(f"its share of the time limit sufficed for {picoseconds:.2g} ps only")
    quarters = [float(np.mean(part)) for part in np.array_split(np.array(volumes or [0.0]), 4)]
    return {
        "temperature": temperature,
        "equilibration": equilibrated,
        "picoseconds": picoseconds,
        "wanted": length,
        "broke": watch.broke,
        "volume": float(np.mean(quarters[2:])),
        "noise": abs(quarters[3] - quarters[2]),
    }


def judge_volume(
    own: Values, parents: Mapping[str, Values], settings: ValidationSettings
) -> Iterator[Found]:
    """Yield the verdict on the mean volume."""
    parent = parents["volume"]
    name = f"volume in NPT at {own['temperature']:g} K"
    if own["broke"] or parent["broke"]:
        judged = None if parent["broke"] else False
        broke = own["broke"] or f"the parent's run broke: {parent['broke']}"
        yield Found(name, None, remark=broke, judged=judged)
        return
    noise = 100 * parent["noise"] / parent["volume"]
    allowed = settings.tolerances.volume
    yield Found(
        name,
        100 * (own["volume"] / parent["volume"] - 1),
        "%",
        allowed + noise,
        f"{allowed:g} %, and {noise:.2g} % by which quarters of the parent's run differ; "
        f"{own['volume']:.4g} Å³/atom, the parent {parent['volume']:.4g}; "
        f"{own['picoseconds']:.3g} ps",
    )


def _begin(case: Case, temperature: float) -> tuple[Atoms, Timesteps]:
    """Return the atoms that are run, with velocities, and the time steps."""
    atoms = case.copy(supercell(Structure.unlabelled(case.atoms), case.settings.atoms))
    rng = np.random.default_rng([case.seed, 0, round(temperature)])
    start_moving(atoms, temperature, rng)
    return atoms, Timesteps.of(atoms, case.settings)


def _planned(
    case: Case, atoms: Atoms, wanted: Lengths, least: Lengths, *, conserve: bool = True
) -> tuple[Lengths, float]:
    """Return how many steps the time suffices for, and the seconds that one takes.

    Raises:
        NotDone: it does not suffice for a run that tells something.
    """
    atoms.get_forces()  # the first call is slow
    begin = case.clock.spent
    for turn in range(_PACED):
        moved = case.copy(atoms)
        moved.positions += 1e-3 * (turn + 1)
        moved.get_forces()
    pace = (case.clock.spent - begin) / _PACED
    steps = int(_PLANNED * case.clock.left / max(pace, 1e-9))
    lengths = wanted.fitting(steps, least, conserve=conserve)
    if lengths is None:
        needed = least.equilibration + least.conserving * conserve + least.coupled
        raise NotDone(
            f"its share of the time limit, {case.clock.seconds:.0f} s, suffices for {steps} steps "
            f"of {pace:.2g} s; {needed} are the least that tell something"
        )
    return lengths, pace


def _equilibrate(
    case: Case,
    atoms: Atoms,
    watch: Watch,
    temperature: float,
    rng: np.random.Generator,
    lengths: Lengths,
    pace: float,
) -> float:
    """Run with a strong thermostat; return for how many ps."""
    femtoseconds, steps = Timesteps.of(atoms, case.settings).coupled, lengths.equilibration
    thermostat = langevin(atoms, femtoseconds, temperature, STRONG_FRICTION, rng)
    done = 0
    ends = (_EQUILIBRATION_ENDS, steps * pace)
    for step in _timed(case, watch, thermostat, steps, "of the equilibration", ends):
        done = step
    if watch.broke is None and done < min(steps, round(1000 * _LEAST_EQUILIBRATION / femtoseconds)):
        raise NotDone(
            f"its share of the time limit, {case.clock.seconds:.0f} s, did not suffice for the "
            f"equilibration ({done} of {steps} steps)"
        )
    return done * femtoseconds / 1000


def _timed(
    case: Case,
    watch: Watch,
    integrator: MolecularDynamics,
    steps: int,
    phase: str,
    ends: tuple[float, float] | None,
) -> Iterator[int]:
    """Yield steps until they are done, something breaks, or the time is up.

    Args:
        case: what is run, with its clock.
        watch: tells whether something breaks.
        integrator: moves the atoms.
        steps: number of steps.
        phase: the part of the run, for messages.
        ends: the share of the time limit at which a part ends that is slower than planned, and the
            seconds that were planned for it; None: it may take what is left.
    """
    begin = case.clock.spent
    share, planned = ends or (_ENDS, 0.0)
    for step in watch.steps(integrator, steps, phase, every=_LOOKS):
        yield step
        spent = case.clock.spent
        if spent > share * case.clock.seconds and spent - begin > _SLOWER * planned:
            return


def _constant_energy(case: Case, atoms: Atoms, watch: Watch, steps: int, pace: float) -> Values:
    """Run at constant energy; return drift and excursion in meV/atom, with the drift's error."""
    stop_rigid_motion(atoms)
    femtoseconds = Timesteps.of(atoms, case.settings).conserving
    ends = (_NVE_ENDS, steps * pace)
    integrator = VelocityVerlet(atoms, femtoseconds * units.fs)
    total = [
        1000 * (atoms.get_potential_energy() + atoms.get_kinetic_energy()) / len(atoms)
        for _ in _timed(case, watch, integrator, steps, "at constant energy", ends)
    ]
    picoseconds = femtoseconds / 1000 * np.arange(len(total))
    found: Values = {"picoseconds": float(picoseconds[-1]) if len(total) else 0.0}
    if watch.broke is not None or found["picoseconds"] < _LEAST_NVE:
        return found
    energies = np.array(total) - total[0]
    slope, start = np.polyfit(picoseconds, energies, 1)
    rest = energies - start - slope * picoseconds
    # Means of blocks are independent where single steps are not.
    blocks = [np.mean(part) for part in np.array_split(energies, 6)]
    times = [np.mean(part) for part in np.array_split(picoseconds, 6)]
    _, covariance = np.polyfit(times, blocks, 1, cov=True)
    found |= {
        "drift": float(slope),
        "error": float(np.sqrt(covariance[0, 0])),
        "excursion": float(np.abs(rest).max()),
    }
    return found


def _distributions(snapshots: list[_Snapshot]) -> Values:
    """Return what is known of where atoms are, and how far they move."""
    frames = [snapshot.atoms for snapshot in snapshots]
    half = len(frames) // 2
    halves = [radial_distributions(frames[:half]), radial_distributions(frames[-half:])]
    positions = np.array([atoms.positions for atoms in frames])
    return {
        "rdf": mean_distributions(*halves),
        "halves": halves,
        "msd": displacements(positions, frames[0].numbers),
        "msd_halves": [
            displacements(part, frames[0].numbers) for part in np.array_split(positions, 2)
        ],
    }


def _stability(own: Values, parent: Values | None, settings: ValidationSettings, at: str) -> Found:
    """Return whether atoms stay together, and for how long that was seen."""
    length = _length(own)
    name = f"stability {at}"
    if own["broke"]:
        judged = None if parent is not None and parent["broke"] else False
        remark = _broken(own, parent)
        return Found(name, length, "ps", remark=remark, judged=judged, alone=True)
    told = ["intact"]
    wanted = settings.picoseconds + settings.nve_picoseconds
    if length < 0.99 * wanted:
        told.append(f"{wanted:.3g} ps were asked for, the time sufficed for {length:.2g}")
    if parent is not None and parent["broke"]:
        told.append(_broken(own, parent))
    return Found(name, length, "ps", remark="; ".join(told), judged=True, alone=True)


def _length(run: Values) -> float:
    """Return how long a run was after the equilibration, in ps."""
    return float(run["picoseconds"] + run["nve"]["picoseconds"])


def _broken(own: Values, parent: Values | None) -> str:
    if parent is None:
        return f"{own['broke']}; the parent was not run"
    if own["broke"] and parent["broke"]:
        return f"{own['broke']}; the parent breaks as well: {parent['broke']}"
    if own["broke"]:
        return f"{own['broke']}; the parent stays intact for {_length(parent):.2g} ps"
    return f"the parent's run broke: {parent['broke']}"


def _energy(
    own: Values, parent: Values, settings: ValidationSettings, at: str, broke: str | None
) -> Iterator[Found]:
    """Yield the verdicts on a run at constant energy."""
    names = (f"drift in NVE {at}", f"largest excursion in NVE {at}")
    if "drift" not in own:
        reason = (
            broke or f"{own['picoseconds']:.2g} ps, all that the time sufficed for, are too short"
        )
        for name in names:
            yield Found(name, None, remark=reason, alone=True)
        return
    tolerances = settings.tolerances
    before = abs(parent.get("drift", 0.0))
    told = f"the parent {before:.2g}" if "drift" in parent else "the parent's was not measured"
    yield Found(
        names[0],
        abs(own["drift"]),
        "meV/atom/ps",
        max(tolerances.drift, _SPARE * before) + 2 * own["error"],
        f"{told}; {own['picoseconds']:.2g} ps, known to {own['error']:.1g}",
        alone=True,
    )
    before = parent.get("excursion", 0.0)
    told = f"the parent {before:.2g}" if "excursion" in parent else told
    yield Found(
        names[1],
        own["excursion"],
        "meV/atom",
        max(tolerances.excursion, _SPARE * before),
        told,
        alone=True,
    )


def _rdf(own: Values, parent: Values, settings: ValidationSettings, at: str) -> Found:
    """Return the verdict on radial distribution functions."""
    weights = pair_weights(Atoms(own["numbers"]))
    value = distance_of_distributions(own["rdf"], parent["rdf"], weights)
    lengths = (own["picoseconds"], parent["picoseconds"])
    first, second = parent["halves"]
    # Halves are noisier than wholes, and so is a run that is shorter than the parent's.
    noise = distance_of_distributions(first, second, weights)
    noise *= max(1.0, (lengths[1] / lengths[0]) ** 0.5)
    told = f"{lengths[0]:.3g} ps, the parent {lengths[1]:.3g} ps"
    if min(lengths) < _LEAST_RDF:
        remark = (
            f"not judged: {told} are too short ({_LEAST_RDF:g} ps are needed); the halves of the "
            f"parent's run differ by {noise:.2g} %"
        )
        return Found(f"RDF {at}", value, "%", None, remark, essential=False)
    allowed = settings.tolerances.rdf
    remark = (
        f"{allowed:g} %, and {noise:.2g} % by which the halves of the parent's run differ; {told}"
    )
    return Found(f"RDF {at}", value, "%", allowed + noise, remark, essential=False)


def _mobile(own: Values, parent: Values, settings: ValidationSettings, at: str) -> Iterator[Found]:
    """Yield verdicts on the diffusion of elements that move; none where none does."""
    for element, msd in parent["msd"].items():
        if max(msd) < _MOBILE**2:
            continue
        before = diffusion(msd, parent["interval"])
        halves = [diffusion(half[element], parent["interval"]) for half in parent["msd_halves"]]
        name = f"diffusion of {element} {at}"
        if before <= 0 or min(halves) <= 0:
            remark = "the parent's run is too short to tell"
            yield Found(name, None, remark=remark, essential=False)
            continue
        noise = 100 * abs(halves[1] - halves[0]) / before
        value = diffusion(own["msd"][element], own["interval"])
        allowed = settings.tolerances.diffusion
        yield Found(
            name,
            100 * (value / before - 1),
            "%",
            allowed + noise,
            f"{allowed:g} %, and {noise:.2g} % by which the halves of the parent's run differ; "
            f"{1e-4 * value:.2g} cm²/s, the parent {1e-4 * before:.2g}",
            essential=False,
        )
