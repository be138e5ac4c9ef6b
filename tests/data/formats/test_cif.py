"""Structures without labels from the files that people have, and their faults."""

import re

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.db import connect
from ase.io.trajectory import Trajectory

from irrepress.core.errors import UserError
from irrepress.data.config import Files
from irrepress.data.formats.cif import lacking_elements
from irrepress.data.reading import read_files

SALT = bulk("NaCl", "rocksalt", a=5.64, cubic=True)


def read(path, **changes):
    """Return the structures of a file, and the notes on them without those on small cells."""
    reading = read_files(Files(source="files", paths=[str(path)], labels=False, **changes))
    structures = list(reading)
    return structures, [n for n in reading.notes if not n.text.startswith("cell thinner")]


@pytest.fixture
def disordered(tmp_path):
    """Write CIFs of pymatgen with a shared site and with a site that is partly empty."""
    core = pytest.importorskip("pymatgen.core")
    cif = pytest.importorskip("pymatgen.io.cif")

    def write(*species: object):
        lattice = core.Lattice.cubic(2.8)
        sites = [(0, 0, 0), (0.5, 0.5, 0.5)]
        path = tmp_path / "disordered.cif"
        cif.CifWriter(core.Structure(lattice, species, sites)).write_file(path)
        return path

    return write


@pytest.mark.parametrize(
    ("species", "shares"),
    [
        (({"Mg": 0.5, "Fe": 0.5}, "O"), "0.5 Mg and 0.5 Fe"),
        (({"Li": 0.5}, "O"), "0.5 Li"),
    ],
)
def test_partial_occupancies_are_refused(disordered, species, shares):
    path = disordered(*species)
    with pytest.raises(UserError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: frame 0: a site is occupied by {shares} (partial")
    assert "order it" in message and "bad_frames: skip" in message


def test_full_occupancies_are_fine(disordered):
    (structure,), notes = read(disordered("Mg", "O"))
    assert sorted(structure.numbers) == [8, 12] and notes == []


def test_a_cif_with_several_data_blocks(tmp_path):
    path = tmp_path / "two.cif"
    ase.io.write(path, [SALT, bulk("MgO", "rocksalt", a=4.2, cubic=True)])
    path.write_text("data_global\n_journal_name_full 'Crystals'\n\n" + path.read_text())
    structures, notes = read(path)
    assert [set(s.numbers.tolist()) for s in structures] == [{11, 17}, {8, 12}]
    assert [note.text for note in notes] == [
        "CIF with several data blocks, each read as a structure",
        "data block of a CIF without atoms, left out",
    ]


def test_hydrogen_of_the_formula_is_missed_among_the_sites(tmp_path):
    path = tmp_path / "hydrate.cif"
    ase.io.write(path, SALT)
    assert read(path)[1] == []
    formula = "_chemical_formula_sum 'Na4 Cl4 H8'"
    path.write_text(re.sub("_chemical_formula_sum.*", formula, path.read_text()))
    (note,) = read(path)[1]
    assert note.text.startswith("CIF whose sites lack H of its formula; add these atoms")


@pytest.mark.parametrize(
    ("formula", "counts", "lacking"),
    [
        ("Na4 Cl4", {"Na": 1, "Cl": 1}, []),
        ("C6 H12 O6", {"C": 24, "H": 46, "O": 24}, ["H"]),
        ("C2 D4", {"C": 4, "H": 8}, []),
        ("Al0.5 Ga1.5 O3", {"Al": 4, "Ga": 12, "O": 24}, []),
        ("?", {"Na": 4}, []),
        ("", {"Na": 4}, []),
    ],
)
def test_formulas(formula, counts, lacking):
    assert lacking_elements(formula, counts) == lacking


def test_selective_dynamics_and_velocities_of_vasp(tmp_path):
    atoms = SALT.copy()
    atoms.set_constraint(FixAtoms([0, 1]))
    path = tmp_path / "CONTCAR"
    ase.io.write(path, atoms, format="vasp")
    with path.open("a") as stream:
        stream.write("\n" + 8 * "  0.01  0.00 -0.01\n")
    (structure,), notes = read(path)
    order = np.argsort(structure.numbers, kind="stable")
    assert structure.numbers[order].tolist() == [11] * 4 + [17] * 4
    (note,) = notes
    assert note.text.startswith("constraints, such as selective dynamics, not kept")


def frames() -> list[Atoms]:
    made = [SALT.copy() for _ in range(3)]
    for seed, atoms in enumerate(made):
        atoms.rattle(0.05, seed=seed)
    return made


def write_xdatcar(path):
    ase.io.write(path, frames(), format="vasp-xdatcar")


def write_trajectory(path):
    with Trajectory(path, "w") as trajectory:
        for atoms in frames():
            atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((8, 3)))
            trajectory.write(atoms)


def write_database(path):
    with connect(path) as database:
        for atoms in frames():
            database.write(atoms)


@pytest.mark.parametrize(
    ("name", "write", "dropped"),
    [
        ("XDATCAR", write_xdatcar, []),
        ("run.traj", write_trajectory, ["own labels not read, as labels says (energy, forces)"]),
        ("cells.db", write_database, []),
    ],
)
def test_trajectories_and_databases(tmp_path, name, write, dropped):
    write(tmp_path / name)
    structures, notes = read(tmp_path / name)
    for structure, atoms in zip(structures, frames(), strict=True):
        moved = structure.positions - atoms.get_positions()
        np.testing.assert_allclose(moved - 5.64 * np.round(moved / 5.64), 0, atol=1e-6)
        assert np.isnan(structure.energy) and np.isnan(structure.forces).all()
    assert [note.text for note in notes] == dropped


def test_a_molecule_without_a_cell(tmp_path):
    ase.io.write(tmp_path / "water.xyz", molecule("H2O"), plain=True)
    (structure,), notes = read(tmp_path / "water.xyz")
    assert not structure.pbc.any() and not structure.cell.any() and notes == []


def test_overlapping_atoms_are_refused(tmp_path):
    atoms = SALT + Atoms("Na", positions=[SALT.positions[0] + [0.1, 0, 0]])
    ase.io.write(tmp_path / "double.cif", atoms)
    with pytest.raises(UserError, match=r"atoms 0 and 8 are 0\.1 Å apart.*no atom is listed twice"):
        read(tmp_path / "double.cif")
