"""``in.lammps``, which runs as it is, and the structure that it reads."""

import importlib.util
from pathlib import Path
from types import ModuleType

from ase import Atoms

from irrepress.deploy.target import Lammps

INPUT, STRUCTURE = "in.lammps", "structure.data"
_HYDROGEN = 1

_TEXT = """\
# {formula} with {model} (pair_style {style}): lmp -in in.lammps
# On one process; the pair style keeps its neighbours on the stack: ulimit -s unlimited
units           metal
atom_style      atomic
{settings}boundary        {boundary}
read_data       {structure}

# Elements in the order of the types in {structure}
pair_style      {style}
pair_coeff      * * {model} {elements}

velocity        all create 300 4928 mom yes rot yes dist gaussian
fix             1 all nvt temp 300 300 {damping}
timestep        {timestep}
thermo_style    custom step temp pe etotal press
thermo          10
run             50
"""


def write_input(folder: Path, atoms: Atoms, target: Lammps, family: str) -> None:
    """Write an input of LAMMPS that runs dynamics of a structure, and the structure.

    Args:
        folder: the deployment, whose ``runtime.py`` is there.
        atoms: the structure.
        target: the target.
        family: the model's family.
    """
    runtime = _runtime(folder)
    boxed = runtime.boxed(atoms)
    symbols = sorted(set(atoms.get_chemical_symbols()))
    runtime.write_data(folder / STRUCTURE, boxed, symbols)
    timestep = 0.0005 if _HYDROGEN in atoms.numbers else 0.001  # ps
    text = _TEXT.format(
        formula=atoms.get_chemical_formula(),
        model=target.file,
        style=runtime.PAIR_STYLE,
        settings="".join(f"{line}\n" for line in runtime.SETTINGS.splitlines()),
        boundary=" ".join("p" if periodic else "f" for periodic in atoms.pbc),
        structure=STRUCTURE,
        elements=" ".join(symbols),
        damping=100 * timestep,
        timestep=timestep,
    )
    (folder / INPUT).write_text(text, encoding="utf-8")


def _runtime(folder: Path) -> ModuleType:
    """Return a deployment's runtime.py as a module."""
    spec = importlib.util.spec_from_file_location("runtime_of_lammps", folder / "runtime.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
