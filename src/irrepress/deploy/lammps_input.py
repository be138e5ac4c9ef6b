"""``in.lammps``, which runs as it is, and the structure that it reads."""

from pathlib import Path

from ase import Atoms

from irrepress.deploy.target import InLammps, load_script

INPUT, STRUCTURE = "in.lammps", "structure.data"
_HYDROGEN = 1

_TEXT = """\
# {formula} with {model} (pair_style {style}): {command} -in in.lammps
# {remark}
units           metal
atom_style      atomic
{settings}boundary        {boundary}
read_data       {structure}

# Elements in the order of the types in {structure}
{pair}

velocity        all create 300 4928 mom yes rot yes dist gaussian
fix             1 all nvt temp 300 300 {damping}
timestep        {timestep}
thermo_style    custom step temp pe etotal press
thermo          10
run             50
"""


def write_input(folder: Path, atoms: Atoms, target: InLammps, family: str) -> None:
    """Write an input of LAMMPS that runs dynamics of a structure, and the structure.

    Args:
        folder: the deployment, whose scripts are there.
        atoms: the structure.
        target: the target.
        family: the model's family.
    """
    runtime = load_script(folder / target.input_script)
    boxed = runtime.boxed(atoms)
    symbols = sorted(set(atoms.get_chemical_symbols()))
    runtime.write_data(folder / STRUCTURE, boxed, symbols)
    timestep = 0.0005 if _HYDROGEN in atoms.numbers else 0.001  # ps
    text = _TEXT.format(
        formula=atoms.get_chemical_formula(),
        model=target.file,
        style=runtime.PAIR_STYLE.format(model=target.file),
        command=runtime.COMMAND,
        remark=target.remark,
        settings="".join(f"{line}\n" for line in runtime.SETTINGS.splitlines()),
        boundary=" ".join("p" if periodic else "f" for periodic in atoms.pbc),
        structure=STRUCTURE,
        pair="\n".join(runtime.pair(target.file, symbols)),
        damping=100 * timestep,
        timestep=timestep,
    )
    (folder / INPUT).write_text(text, encoding="utf-8")
