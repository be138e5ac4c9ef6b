"""What a lower precision brings in each runtime, and what it costs.

    python benchmarks/precision.py --out benchmarks/results/precision.csv
    python benchmarks/precision.py --family mace --model MODEL --irreps 32x0e \
        --frames molecule.xyz --name 'MACE, 32x0e' --out benchmarks/results/precision.csv

The model is compressed first: cut to ``--irreps`` and compensated on rattled structures; without
``--irreps`` it is taken as it is. Then every code that runs it in float64, float32 or bfloat16 has
its turn in one process, A B A B ..., so that a busy machine slows all alike. Times are CPU times of
one thread; ratios are medians over rounds, relative to float64 in the same runtime. Neighbours are
given, save in symmetrix, which finds them. Beside the times stand the largest error of a force
against the family's own code in float64 and how far forces do not turn with the structure, both
relative to the largest force, and what becomes of the energy in molecular dynamics at constant
energy. What does not run is kept as a row that says why. ``--out`` keeps the table; rows of other
models in the file stay.
"""

import argparse
import contextlib
import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import ase.io
import numpy as np
import pandas as pd
import torch
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.md.verlet import VelocityVerlet
from scipy.spatial.transform import Rotation

import irrepress
from irrepress.core.errors import first_line
from irrepress.core.model import Model
from irrepress.core.structure import Structure
from irrepress.data.dynamics import supercell
from irrepress.deploy.target import get_target
from irrepress.evaluation.timing import reference_crystal

NATIVE, TORCHSCRIPT, SYMMETRIX = "family's own", "TorchScript", "symmetrix"
_ROOM = 4.0  # Å between copies of a molecule
# Energy in eV and forces in eV/Å, ``[atoms, 3]``.
Results = tuple[float, np.ndarray]
Evaluate = Callable[[], Results]


class Code(NamedTuple):
    """A runtime and a precision.

    Attributes:
        runtime: its name.
        precision: the type of numbers, and how it is asked for.
        version: packages with their versions.
        prepare: what makes a call of a structure.
    """

    runtime: str
    precision: str
    version: str
    prepare: Callable[[Structure], Evaluate]


def codes(model: Model, folder: Path) -> Iterator[Code | tuple[str, str, str]]:
    """Yield what runs a model; of what cannot even be made, runtime, precision and why.

    Args:
        model: the model.
        folder: where files go.
    """
    for maker in (own_code, torchscript, symmetrix):
        for precision in ("float64", "float32", "bfloat16 autocast", "bfloat16 throughout"):
            try:
                code = maker(model, precision, folder)
            except Exception as error:  # whatever another package raises
                yield maker.__name__, precision, first_line(error)
                continue
            if code is not None:
                yield code


def own_code(model: Model, precision: str, folder: Path) -> Code:
    """The code of the family's package, with neighbours given."""
    kind = precision.partition(" ")[0]
    dtype = torch.float32 if precision == "bfloat16 autocast" else getattr(torch, kind)
    loaded = in_type(model, torch.float64 if dtype == torch.float64 else torch.float32, folder)
    network = loaded.to(dtype) if dtype == torch.bfloat16 else loaded

    def prepare(structure: Structure) -> Evaluate:
        batch = network.batch([structure])

        def evaluate() -> Results:
            with autocast(precision):
                found = network.predict(batch, native=True)
            return float(found.energy[0]), found.forces.double().numpy()

        return evaluate

    return Code(NATIVE, precision, model.family.own_code(), prepare)


def torchscript(model: Model, precision: str, folder: Path) -> Code | None:
    """The file of a deployment, called with neighbours given (SevenNet); MACE's is in float64."""
    if model.family.name != "sevennet":
        return None
    from irrepress.families.sevennet.torchscript import lammps_inputs, run_as_lammps

    kind = torch.float64 if precision == "float64" else torch.float32
    typed = in_type(model, kind, folder)
    path = folder / f"{precision.replace(' ', '-')}.pt"
    model.family.write_torchscript(typed, path)
    network = torch.jit.load(path, map_location="cpu")
    if precision == "bfloat16 throughout":
        network, kind = network.to(torch.bfloat16), torch.bfloat16

    def prepare(structure: Structure) -> Evaluate:
        inputs = lammps_inputs(typed, structure, kind)

        def evaluate() -> Results:
            with autocast(precision):
                energy, forces, _ = run_as_lammps(network, inputs)
            return float(energy), forces.double().numpy()

        return evaluate

    version = f"irrepress {irrepress.__version__}, torch {torch.__version__.partition('+')[0]}"
    return Code(TORCHSCRIPT, precision, version, prepare)


def symmetrix(model: Model, precision: str, folder: Path) -> Code | None:
    """symmetrix, which has no bfloat16 and finds neighbours itself."""
    target = get_target("symmetrix")
    if model.family.name not in target.families or precision.startswith("bfloat16"):
        return None
    place = folder / f"symmetrix-{precision}"
    place.mkdir()
    target.takes(model)
    model.save(place / "model.pt")
    target.write_folder(model, place)
    spec = importlib.util.spec_from_file_location("symmetrix_runtime", place / "runtime.py")
    runtime = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runtime)
    calculator = runtime.calculator("cpu", dtype=precision)

    def prepare(structure: Structure) -> Evaluate:
        atoms = structure.to_atoms()

        def evaluate() -> Results:
            calculator.reset()
            calculator.calculate(atoms, ["energy", "forces"])
            return calculator.results["energy"], np.array(calculator.results["forces"], float)

        return evaluate

    versions = " ".join(*target.tested(model.family.name).items())
    return Code(SYMMETRIX, precision, versions, prepare)


RUNTIMES = {"own_code": NATIVE, "torchscript": TORCHSCRIPT, "symmetrix": SYMMETRIX}


def autocast(precision: str) -> contextlib.AbstractContextManager:
    """Return what lets torch choose bfloat16 where it can, if that is asked for."""
    if precision != "bfloat16 autocast":
        return contextlib.nullcontext()
    return torch.autocast("cpu", dtype=torch.bfloat16)


def in_type(model: Model, dtype: torch.dtype, folder: Path) -> Model:
    """Return a model in another type."""
    path = folder / "typed.pt"
    model.save(path, dtype=model.dtype)
    return model.family.load(path, modal=model.modal, dtype=dtype)


class Evaluating(Calculator):
    """ASE's calculator around a code."""

    implemented_properties = ("energy", "forces")

    def __init__(self, code: Code):
        super().__init__()
        self.code = code

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list | None = None,
        system_changes: list = all_changes,
    ) -> None:
        """Compute energy and forces."""
        super().calculate(atoms, properties, system_changes)
        energy, forces = self.code.prepare(Structure.unlabelled(self.atoms))()
        self.results = {"energy": energy, "forces": forces}


def dynamics(code: Code, cell: Structure, steps: int, timestep: float) -> tuple[float, float]:
    """Return drift in meV/atom/ps and fluctuation in meV/atom of the energy at constant energy.

    Args:
        code: what runs.
        cell: where the run starts, with velocities of 300 K.
        steps: number of steps.
        timestep: in fs.
    """
    atoms = cell.to_atoms()
    MaxwellBoltzmannDistribution(atoms, temperature_K=300, rng=np.random.default_rng(0))
    Stationary(atoms)
    atoms.calc = Evaluating(code)
    run, energies = VelocityVerlet(atoms, timestep * units.fs), []
    run.attach(lambda: energies.append(1e3 * atoms.get_total_energy() / len(atoms)))
    run.run(steps)
    times = 1e-3 * timestep * np.arange(len(energies))
    slope, start = np.polyfit(times, energies, 1)
    return float(slope), float(np.std(np.array(energies) - slope * times - start))


def turned(structure: Structure) -> tuple[Structure, np.ndarray]:
    """Return a structure turned at random, and the matrix that turns a row of coordinates."""
    matrix = Rotation.random(random_state=0).as_matrix().T
    atoms = structure.to_atoms()
    atoms.set_cell(np.array(atoms.cell) @ matrix)
    atoms.positions = atoms.positions @ matrix
    return Structure.unlabelled(atoms), matrix


def compare(model: Model, name: str, base: Atoms, arguments: argparse.Namespace) -> list[dict]:
    """Measure a model in all codes; one row a code."""
    rows: list[dict[str, Any]] = []
    structure, small = (grown(base, size) for size in (arguments.atoms, arguments.md_atoms))
    rotated, matrix = turned(structure)
    with tempfile.TemporaryDirectory() as folder:
        running: list[tuple[Code, Evaluate, dict[str, Any]]] = []
        exact: np.ndarray | None = None
        for code in codes(model, Path(folder)):
            row: dict[str, Any] = {"model": name, "runtime": "", "precision": ""}
            rows.append(row)
            if not isinstance(code, Code):
                maker, row["precision"], reason = code
                row |= {"runtime": RUNTIMES[maker], "note": f"does not run: {reason}"}
                continue
            row |= {"runtime": code.runtime, "precision": code.precision, "code": code.version}
            try:
                call = code.prepare(structure)
                _, forces = call()
                if not np.isfinite(forces).all():
                    raise ArithmeticError("forces are not finite")
                exact = forces if exact is None else exact  # the first is the family's own float64
                _, there = code.prepare(rotated)()
            except Exception as error:  # whatever torch raises
                row["note"] = f"does not run: {first_line(error)}"
                continue
            largest = np.abs(exact).max()
            row["atoms"] = len(structure)
            row["error of forces"] = np.abs(forces - exact).max() / largest
            row["error of rotation"] = np.abs(there - forces @ matrix).max() / largest
            running.append((code, call, row))
        add_times(running, arguments.rounds)
        for code, _, row in running:
            found = dynamics(code, small, arguments.steps, arguments.timestep)
            row["drift [meV/atom/ps]"], row["fluctuation [meV/atom]"] = found
            print(row, flush=True)
    return rows


def add_times(running: list[tuple[Code, Evaluate, dict[str, Any]]], rounds: int) -> None:
    """Time all codes in turn, and write times and ratios into their rows."""
    for _, call, _ in running:
        call()  # the second call of TorchScript compiles
    times = np.array([[seconds(call) for _, call, _ in running] for _ in range(rounds)])
    exact = (i for i, (code, _, _) in enumerate(running) if code.precision == "float64")
    base = {running[i][0].runtime: i for i in exact}
    for column, (code, _, row) in enumerate(running):
        row["time [ms]"] = 1e3 * np.median(times[:, column])
        if code.runtime not in base:
            continue
        ratios = times[:, base[code.runtime]] / times[:, column]
        low, row["faster"], high = np.quantile(ratios, [0.25, 0.5, 0.75])
        row["spread [%]"] = 100 * (high - low) / row["faster"]


def seconds(call: Evaluate) -> float:
    """Return the CPU time of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def grown(base: Atoms, atoms: int) -> Structure:
    """Return a structure repeated to a number of atoms; a molecule is put into a box first."""
    base = base.copy()
    if not base.pbc.any():
        base.set_cell(np.ptp(base.positions, axis=0) + _ROOM)
        base.center()
        base.pbc = True
    return Structure.unlabelled(supercell(Structure.unlabelled(base), atoms))


def rattled(base: Atoms, count: int) -> list[Atoms]:
    """Return copies whose atoms are displaced and whose cells are strained at random."""
    random, made = np.random.default_rng(0), []
    for seed in range(count):
        atoms = base.copy()
        if atoms.pbc.all():
            strain = np.eye(3) + random.normal(scale=0.01, size=(3, 3))
            atoms.set_cell(np.array(atoms.cell) @ strain, scale_atoms=True)
        atoms.rattle(0.06, seed=seed)
        made.append(atoms)
    return made


def main() -> None:
    """Compress a model, measure it, print the table and keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", default="sevennet", choices=["sevennet", "mace"])
    parser.add_argument("--model", default="7net-l3i5", help="a keyword or a file")
    parser.add_argument("--irreps", default=None, help="what it is cut to")
    parser.add_argument("--filter-lmax", type=int, default=None)
    parser.add_argument("--name", help="name of the compressed model in the table")
    parser.add_argument("--frames", type=Path, help="file whose first frame is measured")
    parser.add_argument("--structures", type=int, default=24, help="rattled ones, to compensate on")
    parser.add_argument("--atoms", type=int, default=64)
    parser.add_argument("--md-atoms", type=int, default=8)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--timestep", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="CSV file that keeps the table")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    potential = irrepress.load(arguments.model, family=arguments.family, device="cpu")
    if arguments.frames is None:
        base = reference_crystal(potential.model.elements, 8).to_atoms()
    else:
        base = ase.io.read(arguments.frames, 0)
    if arguments.irreps is not None:
        asked = {"irreps": arguments.irreps, "filter_lmax": arguments.filter_lmax}
        potential = potential.plan(criterion="magnitude", **asked).apply()
        potential = potential.compensate(rattled(base, arguments.structures))
    name = arguments.name or potential.name
    table = pd.DataFrame(compare(potential.model, name, base, arguments))
    columns = ["model", "runtime", "precision", "atoms", "time [ms]", "faster", "spread [%]"]
    columns += ["error of forces", "error of rotation", "drift [meV/atom/ps]"]
    columns += ["fluctuation [meV/atom]", "note", "code"]
    table = table.reindex(columns=columns)
    if arguments.out is not None:
        if arguments.out.is_file():
            before = pd.read_csv(arguments.out)
            table = pd.concat([before[before["model"] != name], table])
        table.to_csv(arguments.out, index=False, float_format="%.4g")
    print(table.to_markdown(index=False, floatfmt=".3g"))


if __name__ == "__main__":
    main()
