"""Frames of extended XYZ as other programs and hands write them."""

import numpy as np
import pytest

from irrepress.config import LabelKeys
from irrepress.errors import UserError
from irrepress.structures.formats.base import Remark
from irrepress.structures.formats.extxyz import ExtxyzReader

FRAME = (
    '2\nLattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3:forces:R:3 '
    'energy=-1 pbc="T T T"\n'
    "Na 0.5 0 0 0 0 1\nCl 3.0 0 0 0 0 -1\n"
)
ENERGY, FORCES = -1.0, [[0, 0, 1], [0, 0, -1]]


@pytest.fixture
def read(tmp_path):
    def record(*changes, text=FRAME, keys=None, **options):
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "a.xyz").write_text(text)
        (found,) = ExtxyzReader([tmp_path / "a.xyz"], keys, None, options).records()
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
        (("energy=-1", "energy=-1 energy=-2"), "the key 'energy' stands twice"),
        (("Na 0.5", "11 0.5"), "the atoms are named by numbers"),
        (("Na 0.5", "Qq 0.5"), "'Qq' is no element"),
        ((":pos:R:3", ":xyz:R:3"), "names no pos"),
        ((":forces:R:3", ":pos:R:3"), "names pos twice"),
        (("energy=-1", "energie=-1"), "no energy under the key 'energy'; set keys.energy"),
        (("energy=-1", "REF_energy=-1"), "no energy under the key 'energy'; set keys.energy"),
        ((":forces:", ":dft_forces:"), "no forces under the key 'forces'; set keys.forces"),
        (("energy=-1", "energy=nan"), "energy holds nan"),
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
    "weight", ["config_weight=0", "weight=0.0", "energy_weight=0 forces_weight=0"]
)
def test_frames_without_any_weight_are_left_out(read, weight):
    found = read(("energy=-1", f"energy=-1 {weight}"))
    assert isinstance(found, Remark) and found.text.startswith("left out: ")


def test_a_weight_of_something_else_is_none(read):
    record = read(("energy=-1", "energy=-1 molecular_weight=0 weighted_energy=0"))
    assert record.structure.energy == ENERGY


def test_frames_are_chosen_by_a_key(read):
    change = ("energy=-1", "energy=-1 head=pbe step=2 ok=T")
    for select in ({"head": "pbe"}, {"head": ["pbe", "x"], "step": 2}, {"step": "2", "ok": True}):
        record = read(change, select=select)
        assert record.structure.energy == ENERGY
        assert (record.level is None) == ("head" in select)
    for select, why in (({"head": "x"}, "its head is pbe"), ({"tail": 1}, "it has no tail")):
        assert read(change, select=select).text == f"left out: {why}"
    assert read(change).level == ("head", "pbe")
