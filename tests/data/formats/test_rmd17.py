"""rmd17.tar.bz2, in the layout of figshare 12672038 (its readme, and public code that reads it)."""

import io
import tarfile
import tracemalloc

import numpy as np
import pytest
from ase.units import kcal, mol
from format_samples import assert_records, real_frames, water, write_rmd17, write_tar

from irrepress.core.errors import UserError
from irrepress.data.formats import compression
from irrepress.data.formats.rmd17 import MOLECULES, Rmd17Reader


def records(path, molecule="ethanol", **options):
    options = {"molecule": molecule, **options}
    return list(Rmd17Reader([path], None, None, options).records())


@pytest.mark.parametrize("index_first", [False, True])
@pytest.mark.parametrize("fold", [1, 4])
def test_numbers_units_and_official_parts(tmp_path, fold, index_first):
    images = [water(i) for i in range(10)]
    path = write_rmd17(tmp_path / "rmd17.tar.bz2", images, [7, 2], [0, 9, 4], fold, "ethanol")
    read = records(path, fold=fold)
    assert_records(read, images, 1e-12)
    parts = ["test", None, "train", None, "test", None, None, "train", None, "test"]
    assert [r.part for r in read] == parts
    assert read[3].where == f"{path}: rmd17_ethanol.npz: frame 3"


def test_energies_are_in_kcal_per_mol(tmp_path):
    """A number as the file has it, times 4184 J/kcal over Avogadro's number and the charge."""
    arrays = io.BytesIO()
    np.savez(
        arrays,
        nuclear_charges=np.array([1, 1], dtype=np.uint8),
        coords=np.array([[[0, 0, 0], [0, 0, 0.75]]]),
        energies=np.array([-736.0]),
        forces=np.array([[[0, 0, 10.0], [0, 0, -10.0]]]),
    )
    members = {
        "rmd17/npz_data/rmd17_benzene.npz": arrays.getvalue(),
        "rmd17/splits/index_train_01.csv": b"0\n",
        "rmd17/splits/index_test_01.csv": b"",
    }
    (record,) = records(write_tar(tmp_path / "a.tar.bz2", members, "bz2"), "benzene")
    factor = 4184 / 6.022140857e23 / 1.6021766208e-19
    assert record.structure.energy == pytest.approx(-736 * factor)
    assert record.structure.forces[0, 2] == pytest.approx(10 * factor)
    assert np.isnan(record.structure.stress).all()
    assert record.structure.group == ""


def test_the_first_fold_is_the_default_and_names_may_be_long(tmp_path):
    images = [water(i) for i in range(4)]
    path = write_rmd17(tmp_path / "a.tar.bz2", images, [3], [2], molecule="salicylic")
    assert [r.part for r in records(path, "salicylic-acid")] == [None, None, "test", "train"]


def test_a_frame_of_both_parts_does_not_test(tmp_path):
    path = write_rmd17(tmp_path / "a.tar.bz2", [water(i) for i in range(3)], [1], [0, 1])
    assert [r.part for r in records(path)] == ["test", "train", None]


def test_chunks_and_memory(tmp_path):
    """15 MB of arrays, of which a chunk at a time is in memory."""
    images = [water(i % 7) for i in range(1000)]
    path = write_rmd17(tmp_path / "a.tar.bz2", images, [0], [999])
    reader = Rmd17Reader([path], None, None, {"molecule": "ethanol"})
    assert [len(c.parts) for c in reader.chunks()] == [256, 256, 256, 232]
    rng = np.random.default_rng(0)
    arrays = io.BytesIO()
    count, atoms = 15_000, 21
    np.savez(
        arrays,
        nuclear_charges=np.full(atoms, 6),
        coords=rng.normal(size=(count, atoms, 3)),
        energies=rng.normal(size=count),
        forces=rng.normal(size=(count, atoms, 3)),
    )
    members = {
        "rmd17_aspirin.npz": arrays.getvalue(),
        "index_train_01.csv": b"0\n",
        "index_test_01.csv": b"1\n",
    }
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    del arrays, members
    tracemalloc.start()
    reader = Rmd17Reader([tmp_path / "b.tar"], None, None, {"molecule": "aspirin"})
    assert sum(len(chunk.parts) for chunk in reader.chunks()) == count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6e6


@pytest.mark.parametrize("molecule", ["ethanol", "salicylic-acid"])
def test_real_frames(shared_data, tmp_path, molecule):
    """The published frames, put back into the units and the archive they were published in."""
    train = real_frames(shared_data, f"rmd17/{molecule}-train", 10)
    test = real_frames(shared_data, f"rmd17/{molecule}-test", 10)
    images = train + test
    assert images[0].calc.results["energy"] / (kcal / mol) < -9e4  # all-electron, kcal/mol
    path = write_rmd17(
        tmp_path / "a.tar.bz2",
        images,
        range(10),
        range(10, 20),
        molecule=molecule.removesuffix("-acid"),
    )
    read = records(path, molecule)
    assert_records(read, images, 1e-9)
    assert [r.part for r in read] == ["train"] * 10 + ["test"] * 10


# --- bad input ----------------------------------------------------------------------------


def test_bad_frames_are_named(tmp_path):
    images = [water(), water(1), water(2)]
    images[1].calc.results["energy"] = float("nan")
    path = write_rmd17(tmp_path / "a.tar.bz2", images, [0], [1])
    first, error, last = records(path)
    assert str(error) == (
        f"{path}: rmd17_ethanol.npz: frame 1: energy holds nan; correct or remove the frame"
    )
    assert_records([first, last], [images[0], images[2]])


def test_wrong_names(tmp_path):
    path = write_rmd17(tmp_path / "a.tar.bz2", [water()], [], [])
    with pytest.raises(UserError, match="no molecule 'ethanal'; did you mean 'ethanol'"):
        records(path, "ethanal")
    with pytest.raises(UserError, match="no fold 6; use 1 to 5"):
        records(path, fold=6)
    with pytest.raises(UserError, match=r"rmd17_aspirin\.npz is not in this archive"):
        records(path, "aspirin")
    with pytest.raises(UserError, match=r"index_train_03\.csv, index_test_03\.csv is not in"):
        records(path, fold=3)
    assert len(MOLECULES) == 10


@pytest.mark.parametrize("keep", [0.3, 0.9])
@pytest.mark.parametrize("ahead", [1 << 20, 4096])
def test_archives_that_are_cut_off(tmp_path, monkeypatch, keep, ahead):
    monkeypatch.setattr(compression, "_BUFFER", ahead)
    path = write_rmd17(tmp_path / "a.tar.bz2", [water(i % 9) for i in range(1500)], [0], [1])
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(UserError, match=r"a\.tar\.bz2.*cut off.*download it again"):
        records(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rmd17_ethanol.npz", b"hello", r"rmd17_ethanol\.npz: not a file of rMD17, or damaged"),
        ("index_train_01.csv", b"index\n0\n", r"index_train_01\.csv: not a list of indices"),
        ("index_test_01.csv", b"12\n", r"rmd17_ethanol\.npz: no frame 12"),
        ("index_test_01.csv", b"-1\n", r"rmd17_ethanol\.npz: no frame -1"),
    ],
)
def test_damage_in_members(tmp_path, name, content, message):
    path = write_rmd17(tmp_path / "a.tar.bz2", [water(i) for i in range(3)], [0], [1])
    with tarfile.open(path) as archive:
        members = {
            member.name: archive.extractfile(member).read() for member in archive.getmembers()
        }
    changed = {key: content if key.endswith(name) else value for key, value in members.items()}
    with pytest.raises(UserError, match=message):
        records(write_tar(tmp_path / "b.tar.bz2", changed, "bz2"))


def test_arrays_that_do_not_fit(tmp_path):
    for wrong, message in [
        ({"energies": np.zeros(2)}, "energies has not 3 rows"),
        ({"forces": np.zeros((3, 2, 3))}, "cannot reshape"),
        ({"coords": np.asfortranarray(np.zeros((3, 3, 3)))}, "Fortran"),
    ]:
        arrays = {
            "nuclear_charges": np.array([8, 1, 1]),
            "coords": np.zeros((3, 3, 3)),
            "energies": np.zeros(3),
            "forces": np.zeros((3, 3, 3)),
            **wrong,
        }
        content = io.BytesIO()
        np.savez(content, **arrays)
        members = {
            "rmd17_ethanol.npz": content.getvalue(),
            "index_train_01.csv": b"0\n",
            "index_test_01.csv": b"1\n",
        }
        with pytest.raises(UserError, match=message):
            records(write_tar(tmp_path / "a.tar.bz2", members, "bz2"))


def test_what_is_no_archive(tmp_path):
    (tmp_path / "rmd17.tar.bz2").write_bytes(b"<!doctype html>")
    with pytest.raises(UserError, match="expected the archive of rMD17, but this is a web page"):
        records(tmp_path / "rmd17.tar.bz2")
