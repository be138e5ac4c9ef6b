"""The model as LAMMPS runs it, for check.py: structures are written, run, and read again.

The environment variable LMP holds the command of a LAMMPS with the pair style, by default COMMAND.
"""

import os
import resource
import shlex
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.calculators.lammps import Prism
from ase.data import atomic_masses, atomic_numbers, chemical_symbols

MODEL = Path(__file__).with_name("deployed.pt")
PAIR_STYLE = "e3gnn"
PAIR_COEFF = "* * {model} {elements}"
SETTINGS = ""  # commands before the structure is read
COMMAND = "lmp"
BAR = 1e5 * units.Pascal
VACUUM = 8.0  # Å around a molecule


def evaluate(frames: list, device: str = "auto") -> list:
    """Return energy in eV, forces in eV/Å and stress in eV/Å^3 of structures."""
    return [_evaluate(atoms) for atoms in frames]


def seconds(atoms: Atoms, calls: int, device: str = "auto") -> list:
    """Return the mean time of a step of dynamics in s, as often as there were steps."""
    log = run(
        boxed(atoms),
        "velocity all create 50 1 dist gaussian",
        "fix 1 all nve",
        "timestep 0.0005",
        "run 3",  # the first steps compile
        f"run {calls}",
    )
    loops = [line for line in log.splitlines() if line.startswith("Loop time of")]
    return [float(loops[-1].split()[3]) / calls] * calls


def run(
    atoms: Atoms, *commands: str, folder: Path | None = None, symbols: list | None = None
) -> str:
    """Run commands on a structure, and return the log.

    Args:
        atoms: the structure.
        commands: commands of LAMMPS after the pair style.
        folder: where LAMMPS runs; None: in a temporary folder.
        symbols: the elements in the order of the types; None: in alphabetical order.

    Raises:
        RuntimeError: LAMMPS cannot be started, or has stopped with an error.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            return run(atoms, *commands, folder=Path(temporary), symbols=symbols)
    symbols = symbols or sorted(set(atoms.get_chemical_symbols()))
    write_data(folder / "structure.data", atoms, symbols)
    lines = [
        "units metal",
        "atom_style atomic",
        *SETTINGS.splitlines(),
        f"boundary {' '.join('p' if periodic else 'f' for periodic in atoms.pbc)}",
        "read_data structure.data",
        *pair(str(MODEL), symbols),
        *commands,
    ]
    return start(lines, folder)


def command() -> str:
    """Return the command of LAMMPS."""
    return os.environ.get("LMP", COMMAND)


def pair(model: str, symbols: list) -> list:
    """Return the commands that set the pair style, with the elements in the order of the types."""
    style = PAIR_STYLE.format(model=model)
    return [
        f"pair_style      {style}",
        f"pair_coeff      {PAIR_COEFF.format(model=model, elements=' '.join(symbols))}",
    ]


def start(lines: list, folder: Path, by: str | None = None) -> str:
    """Run commands in a folder, by a command of LAMMPS, and return the log.

    Raises:
        RuntimeError: LAMMPS cannot be started, or has stopped with an error.
    """
    (folder / "in.lammps").write_text("\n".join(lines) + "\n")
    words = [*shlex.split(by or command()), "-in", "in.lammps", "-screen", "none"]
    try:
        done = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, preexec_fn=_large_stack
        )
    except OSError as error:
        raise RuntimeError(
            f"{words[0]} cannot be started: {error.strerror}; set LMP to the command of a LAMMPS "
            f"that has the pair style {PAIR_STYLE.split()[0]}"
        ) from None
    log = folder / "log.lammps"
    text = log.read_text(errors="replace") if log.exists() else ""
    errors = [line for line in (text + done.stderr).splitlines() if line.startswith("ERROR")]
    if done.returncode or errors:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RuntimeError(f"LAMMPS: {errors[0] if errors else last}")
    return text


def check_input(path: Path) -> None:
    """Check that an input names the elements in the order of the types in its data file.

    Raises:
        RuntimeError: an element differs from the mass of its type.
    """
    commands = [line.split("#")[0].split() for line in path.read_text().splitlines()]
    data = [words[1] for words in commands if words[:1] == ["read_data"]]
    first = 1 + PAIR_COEFF.split().index("{elements}")
    named = [words[first:] for words in commands if words[:3] == ["pair_coeff", "*", "*"]]
    if not data or not named:
        raise RuntimeError(f"{path.name}: has no read_data, or no pair_coeff * *; add them")
    masses = _masses(path.parent / data[-1])
    expected = [_element_of(mass) for mass in masses]
    if named[-1] != expected:
        raise RuntimeError(
            f"{path.name}: pair_coeff names {' '.join(named[-1])}, but the masses of the types in "
            f"{data[-1]} are those of {' '.join(expected)}; name these, in this order"
        )


def _masses(path: Path) -> list:
    """Return the masses of the types in a data file."""
    lines = [line.split("#")[0].split() for line in path.read_text().splitlines()]
    first = next((i for i, words in enumerate(lines) if words[:1] == ["Masses"]), None)
    if first is None:
        raise RuntimeError(f"{path.name}: has no section Masses, by which elements are known")
    found: dict = {}
    for words in filter(None, lines[first + 1 :]):
        if not words[0].isdigit():
            break
        found[int(words[0])] = float(words[1])
    return [found[place] for place in sorted(found)]


def _element_of(mass: float) -> str:
    return chemical_symbols[1 + int(np.argmin(np.abs(atomic_masses[1:] - mass)))]


def write_data(path: Path, atoms: Atoms, symbols: list) -> None:
    """Write a structure as LAMMPS reads it, the types in the order of the symbols."""
    prism = Prism(atoms.cell, atoms.pbc)
    lx, ly, lz, xy, xz, yz = prism.get_lammps_prism()
    positions = prism.vector_to_lammps(atoms.positions, wrap=True)
    lines = [
        "a structure for LAMMPS\n",
        f"{len(atoms)} atoms\n{len(symbols)} atom types\n",
        *(f"0 {size:.15g} {a}lo {a}hi" for a, size in zip("xyz", (lx, ly, lz), strict=True)),
    ]
    if prism.is_skewed():
        lines.append(f"{xy:.15g} {xz:.15g} {yz:.15g} xy xz yz")
    lines.append("\nMasses\n")
    for place, symbol in enumerate(symbols, 1):
        lines.append(f"{place} {atomic_masses[atomic_numbers[symbol]]:.10g}  # {symbol}")
    lines.append("\nAtoms  # atomic\n")
    for place, (symbol, position) in enumerate(zip(atoms.symbols, positions, strict=True), 1):
        x, y, z = position
        lines.append(f"{place} {symbols.index(symbol) + 1} {x:.15g} {y:.15g} {z:.15g}")
    path.write_text("\n".join(lines) + "\n")


def boxed(atoms: Atoms) -> Atoms:
    """Return a copy in a box with room along directions that are not periodic."""
    copy = atoms.copy()
    if not atoms.pbc.all():
        for axis in np.flatnonzero(~atoms.pbc):
            copy.center(VACUUM, axis=int(axis))
    return copy


def _evaluate(atoms: Atoms) -> dict:
    copy = boxed(atoms)
    thermo = "thermo_style custom step pe pxx pyy pzz pyz pxz pxy"
    with tempfile.TemporaryDirectory() as folder:
        log = run(
            copy,
            thermo,
            "thermo_modify format float %.15g",
            "run 0",
            'write_dump all custom forces.txt id fx fy fz modify sort id format float "%.15g"',
            folder=Path(folder),
        )
        forces = np.loadtxt(Path(folder) / "forces.txt", skiprows=9, ndmin=2)[:, 1:]
    lines = [line.split() for line in log.splitlines()]
    place = next(i for i, words in enumerate(lines) if words[:2] == ["Step", "PotEng"])
    energy, *pressure = map(float, lines[place + 1][1:])
    prism = Prism(copy.cell, copy.pbc)
    result = {"energy": energy, "forces": prism.vector_to_ase(forces)}
    if atoms.pbc.all():
        xx, yy, zz, yz, xz, xy = (-each * BAR for each in pressure)
        stress = prism.tensor2_to_ase(np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))
        result["stress"] = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    return result


def _large_stack() -> None:
    """Let the pair style have its arrays of edges, which lie on the stack."""
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    resource.setrlimit(resource.RLIMIT_STACK, (hard, hard))
