"""Frames of extended XYZ as other programs and hands write them."""

import numpy as np
import pytest

from irrepress.core.errors import UserError
from irrepress.data.config import LabelKeys, Units
from irrepress.data.formats.base import Remark
from irrepress.data.formats.extxyz import ExtxyzReader

FRAME = (
    '2\nLattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3:forces:R:3 '
    'energy=-1 pbc="T T T"\n'
    "Na 0.5 0 0 0 0 1\nCl 3.0 0 0 0 0 -1\n"
)
ZEROS = "0 0 0 0 0 0 0 0"
DIAGONAL = f"1 {ZEROS}"
ENERGY, FORCES = -1.0, [[0, 0, 1], [0, 0, -1]]


@pytest.fixture
def read(tmp_path):
    def record(*changes, text=FRAME, keys=None, units=None, **options):
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "a.xyz").write_text(text)
        (found,) = ExtxyzReader([tmp_path / "a.xyz"], keys, units, options).records()
        if isinstance(found, UserError):
            raise found
        return found

    return record


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (("Lattice", "lattice"), None),
        (("Properties", "properties"), None),
        (("species:S:1:pos", "Species:S:1:Pos"), None),
        (("species:S:1:pos", "element:S:1:positions"), None),
        (("energy=", "Energy="), "energy taken from the key 'Energy'"),
        ((":forces:", ":force:"), "forces taken from the key 'force'"),
        ((":forces:", ":Forces:"), "forces taken from the key 'Forces'"),
        (("0.5 0 0", "5.0D-1 0 0"), "Fortran's exponents (1.0D-3) read as 1.0E-3"),
        (("energy=-1", "energy=-1.0d0"), "Fortran's exponents (1.0D-3) read as 1.0E-3"),
        (("Na 0.5", "Na1 0.5"), "atom names such as Si1 or C_2 taken as the elements that they"),
        (("0 0 1\n", "0 0 1 7\n"), "columns beyond those that Properties names not read"),
        ((":forces:R:3", ":fx:R:1:fy:R:1:fz:R:1"), "columns fx, fy, fz taken as forces"),
        (("energy=-1", "energy=-1 head_wt=0.5"), "weights other than zero and one (head_wt)"),
        (("energy=-1", "energy=-1 tail_weight=0"), "tail_weight of zero not used"),
        (("energy=-1", "energy=-1 Energy=-2"), "energy taken from 'energy', though 'Energy'"),
        (("energy=-1", "energy=-1 energy_per_atom=-1"), "energy taken from 'energy', though 'ener"),
        (("energy=-1", "energy=-1 Free_Energy=-2"), "energy taken from 'energy', though 'Free_En"),
        (("energy=-1", "energy=-1 TOTEN=-2"), "energy taken from 'energy', though 'TOTEN', which"),
        (("energy=-1", "energy=-1 config_weight=0.5"), "weights other than zero and one (config_"),
    ],
)
def test_what_is_meant_is_read_and_noted(read, change, note):
    record = read(change)
    structure = record.structure
    assert structure.numbers.tolist() == [11, 17] and structure.pbc.all()
    assert structure.cell.tolist() == np.diag([5, 5, 5]).tolist()
    assert structure.positions[0].tolist() == [0.5, 0, 0]
    assert structure.energy == ENERGY and structure.forces.tolist() == FORCES
    assert len(record.notes) == (note is not None)
    assert not note or record.notes[0].startswith(note)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('pbc="T T T"', 'pbc="p p p"'), "pbc is 'p p p', not three booleans"),
        (("Lattice", "cell"), "there is no Lattice, but 'cell' looks like the cell; rename it"),
        (("energy=-1", "energy=-1 energy=-2"), "the key 'energy' occurs twice"),
        (("Na 0.5", "11 0.5"), "the atoms are named by numbers"),
        (("Na 0.5", "Qq 0.5"), "'Qq' is not an element"),
        ((":pos:R:3", ":xyz:R:3"), "names no pos"),
        ((":forces:R:3", ":pos:R:3"), "names pos twice"),
        (("energy=-1", "energie=-1"), "no energy under the key 'energy'; set keys.energy"),
        (("energy=-1", "REF_energy=-1"), "no energy under the key 'energy'; set keys.energy"),
        ((":forces:", ":dft_forces:"), "no forces under the key 'forces'; set keys.forces"),
        (("energy=-1", "energy=nan"), "energy holds nan"),
        (("energy=-1", 'energy=-1 stress=""'), "stress is '', not numbers"),
        (("energy=-1", "energy=-1 stress=None"), "stress is 'None', not numbers"),
        (
            ("energy=-1", 'energy=-1 weights="0 1 1"'),
            "weights has 3 values, neither one nor one per",
        ),
    ],
)
def test_what_cannot_be_known_is_refused_with_the_mend(read, change, message):
    with pytest.raises(UserError, match=rf"a\.xyz: frame 0.*{message}"):
        read(change)


def test_atomic_numbers_in_a_column_of_their_own(read):
    swap = (("Na 0.5", "11 0.5"), ("Cl 3.0", "17 3.0"))
    assert read(*swap, ("species:S", "Z:I")).structure.numbers.tolist() == [11, 17]
    record = read(*swap, ("species:S", "species:I"))
    assert record.structure.numbers.tolist() == [11, 17]
    assert record.notes == ("species declared as integers taken as atomic numbers",)


def test_a_stress_that_is_not_named_is_told(read):
    nine = '"1 0 0 0 2 0 0 0 3"'
    record = read(("energy=-1", f"energy=-1 dft_stress={nine}"))
    assert np.isnan(record.structure.stress).all()
    assert record.notes == ("stress under 'dft_stress' not read; set keys.stress to take it",)
    for key in ("virial", "Virial", "virials"):
        record = read(("energy=-1", f"energy=-1 {key}={nine}"))
        np.testing.assert_allclose(record.structure.stress[:3], [-1 / 125, -2 / 125, -3 / 125])
        assert record.notes[0].startswith(f"stress taken from {key!r} as -virial/volume")


def test_a_label_that_is_not_wanted(read):
    record = read(keys=LabelKeys(forces=False))
    assert np.isnan(record.structure.forces).all() and record.structure.energy == ENERGY
    assert not record.notes


@pytest.mark.parametrize(
    ("weight", "label"),
    [
        ("config_energy_weight=0.0", "energy"),
        ("REF_energy_weight=0", "energy"),
        ("energy_weight=0", "energy"),
        ("energy_weight_pbe=0", "energy"),
        ("e_weight=0", "energy"),
        ("w_energy=0", "energy"),
        ("forces_w=0", "forces"),
        ("config_forces_weight=0.0", "forces"),
        ("force_weight=0", "forces"),
        ("pbe_forces_weight=0", "forces"),
        ("config_stress_weight=0", "stress"),
        ("STRESS_WEIGHTS=0", "stress"),
    ],
)
def test_weights_of_zero(read, weight, label):
    stress = 'stress="1 0 0 0 2 0 0 0 3"'
    record = read(("energy=-1", f"energy=-1 {stress} {weight}"))
    for name in ("energy", "forces", "stress"):
        assert np.isnan(getattr(record.structure, name)).any() == (name == label)
    key = weight.partition("=")[0]
    assert record.notes == (f"{label} of weight zero ({key}) taken as absent",)
    assert not read(("energy=-1", f"energy=-1 {key}=1")).notes


def test_weights_of_atoms(read):
    columns = ((":forces:R:3", ":forces:R:3:forces_weight:R:1"), ("0 0 1\n", "0 0 1 1\n"))
    record = read(*columns, ("0 0 -1\n", "0 0 -1 0\n"))
    assert np.isnan(record.structure.forces).all() and record.structure.energy == ENERGY
    assert record.notes == ("forces of weight zero on some atoms (forces_weight) taken as absent",)


def test_a_virial_counts_where_the_stress_is_a_placeholder(read):
    both = 'stress="0 0 0 0 0 0 0 0 0" virials="1 0 0 0 2 0 0 0 3"'
    weights = "config_stress_weight=0 config_virials_weight=1"
    record = read(("energy=-1", f"energy=-1 {both} {weights}"))
    np.testing.assert_allclose(record.structure.stress[:3], [-1 / 125, -2 / 125, -3 / 125])
    other = "config_stress_weight=1 config_virials_weight=0"
    record = read(("energy=-1", f"energy=-1 {both} {other}"))
    assert record.structure.stress.tolist() == [0] * 6


@pytest.mark.parametrize(
    "weight",
    [
        "config_weight=0",
        "weight=0.0",
        "wt=0",
        "head_weight=0",
        "config_type_weight=0",
        "energy_weight=0 forces_weight=0",
    ],
)
def test_frames_without_any_weight_are_left_out(read, weight):
    found = read(("energy=-1", f"energy=-1 {weight}"))
    assert isinstance(found, Remark) and found.text.startswith("left out: ")


def test_a_weight_of_something_else_is_none(read):
    record = read(("energy=-1", "energy=-1 molecular_weight=0 weighted_energy=0"))
    assert record.structure.energy == ENERGY


def test_an_energy_per_atom_that_is_named(read):
    change = ("energy=-1", "energy_per_atom=-0.5")
    record = read(change, keys=LabelKeys(energy="energy_per_atom"))
    assert record.structure.energy == ENERGY
    assert record.notes == (
        "energy under the key 'energy_per_atom' taken times the number of atoms",
    )


def test_a_free_energy_alone_is_named(read):
    record = read(("energy=-1", "free_energy=-1"))
    assert np.isnan(record.structure.energy)
    assert record.notes == ("no energy; set keys.energy: free_energy to take that",)


@pytest.mark.parametrize("key", ["virial", "dft_virial", "REF_virials"])
def test_a_virial_that_is_named_is_no_stress(read, key):
    change = ("energy=-1", f'energy=-1 {key}="1 0 0 0 2 0 0 0 3"')
    record = read(change, keys=LabelKeys(stress=key))
    np.testing.assert_allclose(record.structure.stress[:3], [-1 / 125, -2 / 125, -3 / 125])
    assert record.notes[0].startswith(f"stress taken from {key!r} as -virial/volume, as it is")
    said = read(change, keys=LabelKeys(stress=key), units=Units(stress="eV/Å^3"))
    assert said.structure.stress[:3].tolist() == [1, 2, 3] and not said.notes


def test_a_virial_that_is_another_stress_is_told(read):
    for number, told in ((-125, 0), (125, 1), (0, 1)):
        record = read(("energy=-1", f'energy=-1 stress="{DIAGONAL}" virial="{number} {ZEROS}"'))
        assert record.structure.stress.tolist() == [1, 0, 0, 0, 0, 0]
        assert len(record.notes) == told
        assert not told or "though 'virial' differs from it" in record.notes[0]


def test_placeholders_of_zero_are_told(read):
    record = read(("energy=-1", f'energy=0 stress="0 {ZEROS}"'))
    assert [note.split(",")[0] for note in record.notes] == [
        "energy of exactly zero",
        "stress of exactly zero with nonzero forces",
    ]


def test_a_gradient_needs_its_sign(read):
    change, keys = (":forces:", ":gradient:"), LabelKeys(forces="gradient")
    with pytest.raises(UserError, match=r"'gradient'.* opposite sign; set units\.forces_sign"):
        read(change, keys=keys)
    for sign in ("gradient", "forces"):
        found = read(change, keys=keys, units=Units(forces_sign=sign)).structure.forces
        assert found[0, 2] == (-1 if sign == "gradient" else 1)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("Head=pbe", ("Head", "pbe")),
        ("XC=PBE", ("XC", "PBE")),
        ("mace_head=a", ("mace_head", "a")),
        ("method=r2SCAN", ("method", "r2SCAN")),
        ("dataset=wB97M-D3(BJ)", ("dataset", "wB97M-D3(BJ)")),
        ("method=MD config_type=bulk", None),
    ],
)
def test_levels_of_theory_under_other_keys(read, text, level):
    change = ("energy=-1", f"energy=-1 {text}")
    assert read(change).level == level
    if level:
        select = {level[0].swapcase(): level[1]}
        assert read(change, select=select).level is None


@pytest.mark.parametrize("mark", ["Config_type=IsolatedAtom", "config_type=isolated"])
def test_marks_of_isolated_atoms(read, mark):
    text = f'1\nProperties=species:S:1:pos:R:3 energy=-1 pbc="F F F" {mark}\nNa 0 0 0\n'
    assert read(text=text).isolated_atom


def test_frames_are_chosen_by_a_key(read):
    change = ("energy=-1", "energy=-1 head=pbe step=2 ok=T")
    for select in ({"head": "pbe"}, {"head": ["pbe", "x"], "step": 2}, {"step": "2", "ok": True}):
        record = read(change, select=select)
        assert record.structure.energy == ENERGY
        assert (record.level is None) == ("head" in select)
    for select, why in (({"head": "x"}, "its head is pbe"), ({"tail": 1}, "it has no tail")):
        assert read(change, select=select).text == f"left out: {why}"
    assert read(change).level == ("head", "pbe")
