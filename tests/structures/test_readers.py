"""Files of the user, whatever their formats, on the way to the store."""

import hashlib
import logging

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect

from irrepress.config import Files, LabelKeys, Split
from irrepress.errors import UserError
from irrepress.files import sha256
from irrepress.structures.checks import check_elements
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


@pytest.mark.parametrize("name", ["a.extxyz", "a.traj", "a.db"])
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


def test_limit_holds_per_file(tmp_path):
    one = write(tmp_path / "1.extxyz", [frame(i) for i in range(5)])
    two = write(tmp_path / "2.extxyz", [frame(i) for i in range(2)])
    assert len(list(read_files(files(one, two, limit=3)))) == 5


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


# --- units and elements -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "unit"), [(1, None), (23.0605, "kcal/mol"), (1 / 27.2114, "Hartree"), (96.485, "kJ")]
)
def test_energies_in_other_units_are_warned_of(shared_data, tmp_path, caplog, factor, unit):
    path = shared_data / "rmd17" / "ethanol-train.extxyz.xz"
    atoms = next(read_file(path, NONE)).to_atoms()
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
