"""Files of the user are read frame by frame, and each mistake has one clear message."""

import bz2
import gzip
import hashlib
import logging
import lzma

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.stress import voigt_6_to_full_3x3_stress

from irrepress.config import Files, LabelKeys, Split
from irrepress.errors import UserError
from irrepress.files import sha256
from irrepress.structures.checks import check_elements
from irrepress.structures.frames import read_frames
from irrepress.structures.readers import checksum, read_file, read_files, store_files
from irrepress.structures.store import StructureStore

NONE = LabelKeys()


def frame(index=0, **changes):
    """Rattled salt with energy, forces and stress; ``changes`` replace results."""
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    atoms.rattle(0.05, seed=index)
    rng = np.random.default_rng(index)
    results = {
        "energy": -6.5 + rng.normal() / 10,
        "forces": rng.normal(size=(2, 3)),
        "stress": rng.normal(size=6) / 100,
    }
    results.update(changes)
    results = {key: value for key, value in results.items() if value is not None}
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def files(*paths, **changes):
    return Files(source="files", paths=[str(path) for path in paths], **changes)


def write(path, images, **kwargs):
    ase.io.write(path, images, **kwargs)
    return path


def assert_frame(structure, atoms, tolerance=1e-7):
    assert structure.numbers.tolist() == atoms.numbers.tolist()
    np.testing.assert_allclose(structure.positions, atoms.positions, atol=tolerance)
    np.testing.assert_allclose(structure.cell, atoms.cell.array, atol=tolerance)
    assert structure.pbc.tolist() == atoms.pbc.tolist()
    results = atoms.calc.results
    np.testing.assert_allclose(structure.energy, results["energy"], atol=tolerance)
    np.testing.assert_allclose(structure.forces, results["forces"], atol=tolerance)
    np.testing.assert_allclose(structure.stress, results["stress"], atol=tolerance)


# --- formats ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["a.extxyz", "a.xyz", "a.traj", "a.db", "a.extxyz.gz", "a.extxyz.xz", "a.xyz.bz2"]
)
def test_formats(tmp_path, name):
    images = [frame(i) for i in range(5)]
    images[3].info["group"] = "sodium chloride"
    path = tmp_path / name
    if name == "a.db":
        with connect(path) as database:
            for atoms in images:
                database.write(atoms)
    else:
        write(path, images)
    structures = list(read_files(files(path)))
    assert len(structures) == 5
    for structure, atoms in zip(structures, images, strict=True):
        assert_frame(structure, atoms)
    if name != "a.db":  # which keeps no info
        assert [s.group for s in structures] == ["", "", "", "sodium chloride", ""]


@pytest.mark.parametrize("opener", [gzip.open, bz2.open, lzma.open])
def test_formats_that_need_seeking_are_read_compressed(tmp_path, opener):
    images = [frame(i) for i in range(3)]
    plain = write(tmp_path / "a.traj", images)
    suffix = {gzip.open: ".gz", bz2.open: ".bz2", lzma.open: ".xz"}[opener]
    with opener(tmp_path / f"b.traj{suffix}", "wb") as target:
        target.write(plain.read_bytes())
    structures = list(read_file(tmp_path / f"b.traj{suffix}", NONE))
    for structure, atoms in zip(structures, images, strict=True):
        assert_frame(structure, atoms)


def test_our_frames_are_those_that_ase_reads(tmp_path):
    images = [frame(i) for i in range(3)] + [molecule("H2O")]
    images[1].info.update(name="two words", temperature=300)
    images[2].arrays["tags"] = np.array([4, 5])
    path = write(tmp_path / "a.extxyz", images)
    for ours, theirs in zip(read_frames(path), ase.io.read(path, ":"), strict=True):
        assert ours == theirs
        assert ours.info == theirs.info
        assert ours.arrays.keys() == theirs.arrays.keys()
        if theirs.calc:
            assert ours.calc.results.keys() == theirs.calc.results.keys()


def test_cells_on_vec_lines(tmp_path):
    path = tmp_path / "vec.xyz"
    block = "2\nold style\nH 0 0 0\nH 0 0 0.74\nVEC1 5 0 0\nVEC2 0 6 0\nVEC3 0 0 7\n"
    path.write_text(block * 3)
    frames = list(read_frames(path))
    assert [atoms.cell.lengths().tolist() for atoms in frames] == [[5, 6, 7]] * 3


def test_limit_holds_per_file(tmp_path):
    one = write(tmp_path / "1.extxyz", [frame(i) for i in range(5)])
    two = write(tmp_path / "2.extxyz", [frame(i) for i in range(2)])
    assert len(list(read_files(files(one, two, limit=3)))) == 5


# --- labels under other keys --------------------------------------------------------------


def with_keys(index=0):
    """A frame with DFT labels under the user's names, beside wrong ones of a calculator."""
    atoms = frame(index)
    right = atoms.calc.results
    atoms.info["dft_energy"] = right["energy"]
    atoms.info["dft_stress"] = voigt_6_to_full_3x3_stress(right["stress"])
    atoms.info["dft_stress_9"] = atoms.info["dft_stress"].reshape(9)
    atoms.arrays["dft_forces"] = right["forces"]
    other = frame(index + 100)
    atoms.calc = SinglePointCalculator(atoms, **other.calc.results)
    return atoms, frame(index)


@pytest.mark.parametrize("name", ["a.extxyz", "a.extxyz.xz"])
@pytest.mark.parametrize("stress", ["dft_stress", "dft_stress_9"])
def test_keys_of_the_user_in_info_and_arrays(tmp_path, name, stress):
    atoms, right = with_keys()
    path = write(tmp_path / name, atoms)
    keys = LabelKeys(energy="dft_energy", forces="dft_forces", stress=stress)
    (structure,) = read_file(path, keys)
    assert_frame(structure, right)
    (structure,) = read_file(path, NONE)
    assert_frame(structure, frame(100), tolerance=10)  # the calculator's, of the right shapes
    assert structure.energy == pytest.approx(frame(100).calc.results["energy"])


def test_a_key_may_name_a_result_of_ase(tmp_path):
    path = write(tmp_path / "a.traj", frame(free_energy=-7.25))
    (structure,) = read_file(path, LabelKeys(energy="free_energy"))
    assert structure.energy == -7.25


def test_stress_may_be_absent_but_not_when_its_key_is_given(tmp_path):
    path = write(tmp_path / "a.extxyz", frame(stress=None))
    (structure,) = read_file(path, NONE)
    assert np.isnan(structure.stress).all()
    with pytest.raises(UserError, match="no stress under the key 'virial'"):
        list(read_file(path, LabelKeys(stress="virial")))


@pytest.mark.parametrize("label", ["energy", "forces"])
def test_absent_labels_name_the_keys_that_are_there(tmp_path, label):
    atoms = frame(**{label: None})
    atoms.info["REF_energy"] = -6.5
    atoms.arrays["REF_forces"] = np.zeros((2, 3))
    path = write(tmp_path / "a.traj", [frame(), atoms])
    message = rf"a\.traj: frame 1: no {label} under the key '{label}'; set keys\.{label}.*REF_"
    with pytest.raises(UserError, match=message):
        list(read_files(files(path)))


def test_no_labels_at_all(tmp_path):
    path = write(tmp_path / "a.extxyz", molecule("H2O"))
    with pytest.raises(UserError, match=r"frame 0: no energy .*there are no labels at all"):
        list(read_files(files(path)))


def test_labels_of_the_wrong_shape_or_type(tmp_path):
    atoms, _ = with_keys()
    atoms.info["name"] = "salt"
    atoms.info["skew"] = np.array([[0, 1.0, 0], [0, 0, 0], [0, 0, 0]])
    path = write(tmp_path / "a.extxyz", atoms)
    for keys, message in [
        (LabelKeys(energy="dft_forces"), r"energy has the shape \[2, 3\], expected \[\]"),
        (LabelKeys(forces="dft_energy"), r"forces has the shape \[\], expected \[2, 3\]"),
        (LabelKeys(energy="name"), "energy is 'salt', not numbers"),
        (LabelKeys(stress="skew"), "not symmetric"),
    ]:
        with pytest.raises(UserError, match=message):
            list(read_file(path, keys))


# --- bad frames ---------------------------------------------------------------------------


def relabelled(atoms):
    """Attach labels anew: ASE drops those of atoms that have changed."""
    atoms.calc = SinglePointCalculator(atoms, **frame().calc.results)
    return atoms


def close_pair():
    atoms = frame()
    atoms.positions[1] = atoms.positions[0] + [0, 0, 0.1] - 2 * atoms.cell[0] + atoms.cell[2]
    return relabelled(atoms)


def with_cell(cell):
    atoms = frame()
    atoms.set_cell(cell)
    return relabelled(atoms)


def with_dummy():
    atoms = frame()
    atoms.numbers[1] = 0
    return relabelled(atoms)


NAN = float("nan")
BAD = {
    "nan energy": (frame(energy=NAN), "energy holds nan"),
    "inf energy": (frame(energy=-np.inf), "energy holds -inf"),
    "nan force": (frame(forces=np.array([[0, 0, 0], [0, NAN, 0]])), "forces holds nan"),
    "nan stress": (frame(stress=np.full(6, NAN)), "stress holds nan"),
    "large force": (
        frame(forces=np.array([[0, 0, 0], [0, 3000, 4000.0]])),
        r"a force of 5000 eV/Å on atom 1 is absurd \(limit 1000\); give forces in eV/Å",
    ),
    "large energy": (frame(energy=-1e10), r"-5e\+09 eV/atom is absurd"),
    "large stress": (frame(stress=np.full(6, 160.2)), r"160\.2 eV/Å\^3 is absurd .*1 GPa"),
    "no volume": (with_cell(np.zeros((3, 3))), r"only 0 Å thin; .*pbc=\"F F F\""),
    "flat cell": (with_cell([[3, 0, 0], [0, 3, 0], [3, 3, 1e-3]]), "is only 0.001 Å thin"),
    "one vector": (with_cell([[3, 0, 0], [0, 0, 0], [0, 0, 0]]), "is only 0 Å thin"),
    "close pair": (close_pair(), r"atoms 0 and 1 are 0\.1 Å apart, less than 0\.3 Å"),
    "dummy": (with_dummy(), "atom 1 is a dummy atom"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_frames_are_named(tmp_path, name):
    bad, message = BAD[name]
    path = write(tmp_path / "bad.traj", [frame(), frame(1), bad, frame(2)])
    structures = read_files(files(path))
    assert [next(structures), next(structures)]
    with pytest.raises(UserError, match=r"bad\.traj: frame 2: .*" + message):
        next(structures)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("Na 0.5 0 0", "Na nan 0 0", r"frame 1: the position of atom 0 is \[nan, 0.0, 0.0\] Å"),
        ('Lattice="5', 'Lattice="inf', r"frame 1: the cell \[\[inf, 0.0, 0.0\].* is not finite"),
    ],
)
def test_geometry_that_is_not_finite(tmp_path, right, wrong, message):
    """Written by hand: ASE writes no labels for such frames."""
    good = (
        '1\nLattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3:forces:R:3 energy=-1\n'
        "Na 0.5 0 0 0 0 0\n"
    )
    (tmp_path / "a.extxyz").write_text(good + good.replace(right, wrong))
    with pytest.raises(UserError, match=message):
        list(read_files(files(tmp_path / "a.extxyz")))


def test_a_large_structure_is_checked_for_close_pairs_too(tmp_path):
    atoms = bulk("Cu", cubic=True).repeat(5)
    atoms.positions[400] = atoms.positions[30] + 0.1
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((500, 3)))
    path = write(tmp_path / "a.traj", atoms)
    with pytest.raises(UserError, match=r"atoms (30 and 400|400 and 30) are 0\.173 Å apart"):
        list(read_files(files(path)))


def test_slabs_and_wires_may_leave_vectors_out(tmp_path):
    for pbc, cell in [((1, 1, 0), [3, 3, 0]), ((0, 0, 1), [0, 0, 3]), ((0, 0, 0), [0, 0, 0])]:
        atoms = Atoms("Cu2", [[0, 0, 0], [0, 0, 2.0]], pbc=pbc, cell=cell)
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((2, 3)))
        (structure,) = read_files(files(write(tmp_path / "a.traj", atoms)))
        assert structure.pbc.tolist() == list(map(bool, pbc))


# --- bad files ----------------------------------------------------------------------------


def test_missing_files_are_named_before_anything_is_read(tmp_path):
    good = write(tmp_path / "good.extxyz", frame())
    with pytest.raises(UserError, match=r"nowhere\.extxyz: cannot be read \(No such file"):
        read_files(files(good, tmp_path / "nowhere.extxyz"))
    with pytest.raises(UserError, match=r"nowhere\.xz: cannot be read"):
        read_files(files(good, test_paths=[str(tmp_path / "nowhere.xz")]))
    with pytest.raises(UserError, match="is a directory"):
        read_files(files(tmp_path))
    (tmp_path / "empty.extxyz").touch()
    with pytest.raises(UserError, match=r"empty\.extxyz: the file is empty"):
        read_files(files(tmp_path / "empty.extxyz"))


@pytest.mark.parametrize("name", ["a.extxyz", "a.extxyz.xz", "a.extxyz.gz", "a.traj", "a.traj.gz"])
def test_files_that_are_cut_off(tmp_path, name):
    images = [frame(i).repeat(5) for i in range(20)]
    for i, atoms in enumerate(images):
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0 * i, forces=np.zeros((250, 3)))
    if name == "a.traj.gz":
        plain = write(tmp_path / "a.traj", images)
        (tmp_path / name).write_bytes(gzip.compress(plain.read_bytes()))
    else:
        write(tmp_path / name, images)
    cut = tmp_path / f"cut-{name}"
    cut.write_bytes((tmp_path / name).read_bytes()[:-1000])
    with pytest.raises(UserError, match=rf"cut-{name}: frame \d+.*(again|anew)"):
        list(read_files(files(cut)))


ONE = b"1\nProperties=species:S:1:pos:R:3:forces:R:3 energy=-1\nH 0 0 0 0 0 0\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.extxyz", b"\n\n\n", "there are no structures"),
        ("a.extxyz", b"hello\n", "frame 0: expected a number of atoms, found 'hello'"),
        ("a.extxyz", ONE + b"H 0 0 0 0 0 0\n", "frame 1: expected a number of atoms"),
        ("a.extxyz", b"1\n\nQq 0 0 0\n", "frame 0 cannot be read"),
        ("a.extxyz", b"1\n\nH 0 zero 0\n", "frame 0 cannot be read"),
        ("a.extxyz", b"\xff\xfe\x00", "frame 0 cannot be read"),
        ("a.extxyz.xz", b"not compressed", "compressed file is cut off or damaged"),
        ("a.extxyz.gz", b"not compressed", "compressed file is cut off or damaged"),
        ("a.extxyz.bz2", b"not compressed", "frame 0 cannot be read"),
        ("a.traj", b"garbage garbage", "frame 0 cannot be read"),
        ("a.unknown", b"garbage garbage", "frame 0 cannot be read"),
    ],
)
def test_garbage(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        list(read_files(files(tmp_path / name)))
    assert name in str(caught.value)


# --- units and elements -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "unit"), [(1, None), (23.0605, "kcal/mol"), (1 / 27.2114, "Hartree"), (96.485, "kJ")]
)
def test_energies_in_other_units_are_warned_of(shared_data, tmp_path, caplog, factor, unit):
    atoms = next(read_frames(shared_data / "rmd17" / "ethanol-train.extxyz.xz"))
    atoms.calc.results["energy"] *= factor
    with caplog.at_level(logging.WARNING):
        list(read_file(write(tmp_path / "a.traj", [atoms] * 3), NONE))
    if unit is None:
        assert not caplog.records
    else:
        assert len(caplog.records) == 1  # once a file
        assert f"looks like {unit}" in caplog.text


def test_elements_that_a_model_does_not_know():
    check_elements([1, 8], range(1, 90), "water and 7net-0")
    message = "salt.h5 and model m: the model does not know Po, Pu; .* It knows H, O"
    with pytest.raises(UserError, match=message):
        check_elements([1, 94, 84], [8, 1], "salt.h5 and model m")


# --- real frames, and the whole way to the store ------------------------------------------


@pytest.mark.parametrize(
    ("name", "count", "stress"),
    [
        ("foundation/mptrj-random", 700, True),
        ("foundation/mptrj-high-stress", 982, True),
        ("crystals/gst-valid", 150, True),
        ("crystals/si-test", 25, False),
        ("rmd17/isolated-atoms", 4, False),
    ],
)
def test_published_sets_pass_without_a_warning(shared_data, caplog, name, count, stress):
    structures = list(read_file(shared_data / f"{name}.extxyz.xz", NONE))
    assert len(structures) == count
    assert all(np.isfinite(s.stress).all() == stress for s in structures)
    assert not caplog.records


def test_official_test_files_become_the_test_part(shared_data, tmp_path):
    train, test = (shared_data / "rmd17" / f"ethanol-{p}.extxyz.xz" for p in ("train", "test"))
    config = files(
        train,
        test_paths=[str(test)],
        limit=40,
        level_of_theory="PBE/def2-SVP",
        licence="CC0",
        split=Split(train=0.6, valid=0.2, test=0.2),
    )
    store_files(tmp_path / "ethanol.h5", config)
    store = StructureStore(tmp_path / "ethanol.h5")
    assert store.splits["test"].tolist() == list(range(40, 80))
    assert {part: len(indices) for part, indices in store.splits.items()} == {
        "train": 30,
        "valid": 10,
        "test": 40,
    }
    assert store.info.labels == store.info.level_of_theory == "PBE/def2-SVP"
    assert store.info.checksum == checksum([train, test])
    expected = [*read_file(train, NONE, 40), *read_file(test, NONE, 40)]
    for read, written in zip(store.iterate(), expected, strict=True):
        assert np.array_equal(read.forces, written.forces)
        assert read.energy == written.energy
    references = store.info.reference_energies
    composition = {6: 2, 1: 6, 8: 1}
    total = sum(count * references[z] for z, count in composition.items())
    energies = [store[i].energy for i in store.splits["train"]]
    assert total == pytest.approx(np.mean(energies), abs=1e-3)


def test_checksums_of_one_and_of_several_files(tmp_path):
    paths = [tmp_path / name for name in "ab"]
    for path in paths:
        path.write_text(path.name)
    assert checksum(paths[:1]) == sha256(paths[0])
    listed = "".join(f"{hashlib.sha256(c).hexdigest()}\n" for c in (b"a", b"b"))
    assert checksum(paths) == hashlib.sha256(listed.encode()).hexdigest()


def test_a_split_that_cannot_be_made_leaves_no_store(tmp_path):
    one = write(tmp_path / "1.extxyz", [frame(i) for i in range(4)])
    config = files(one, split=Split(by="composition"))
    with pytest.raises(UserError, match=r"split\.by: structure"):
        store_files(tmp_path / "a.h5", config)
    assert not (tmp_path / "a.h5").exists()
