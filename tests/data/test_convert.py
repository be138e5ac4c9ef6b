"""Datasets of the config become stores, whole or not at all."""

import hashlib
import io
import tarfile
import zipfile

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.units import kcal, mol

from irrepress.catalogue.datasets.registry import get_published
from irrepress.core.errors import UserError
from irrepress.core.files import sha256
from irrepress.data.config import Counts, Files, Published, Split
from irrepress.data.convert import store_files, store_published
from irrepress.data.reading import read_files
from irrepress.data.store import StructureStore


def files(*paths, **changes):
    return Files(source="files", paths=[str(path) for path in paths], **changes)


def test_structures_only_drops_labels_and_counts_them(tmp_path, caplog):
    labelled, bare = bulk("Si"), bulk("Ge")
    labelled.info["dft_energy"] = -10.0  # no key of irrepress: with labels read, an error
    labelled.info["energy"], labelled.arrays["forces"] = -9.0, np.full((2, 3), 1e9)
    ase.io.write(tmp_path / "cells.xyz", [labelled, bare, labelled, bare])
    path, labels = tmp_path / "cells.h5", False
    store_files(path, files(tmp_path / "cells.xyz", labels=labels))
    store = StructureStore(path)
    assert not any(store.labelled.values()) and store.info.labels == "none"
    note, _ = store.info.notes  # the other one is on small cells
    assert note.count == 2
    assert note.text == "own labels not read, as labels says (energy, forces)"
    assert "own labels not read" in caplog.text


def test_a_single_crystal_needs_no_splits_where_it_needs_no_labels(tmp_path, caplog):
    ase.io.write(tmp_path / "cell.cif", bulk("Si", cubic=True))
    store_files(tmp_path / "cell.h5", files(tmp_path / "cell.cif", labels=False))
    assert StructureStore(tmp_path / "cell.h5").splits["train"].tolist() == [0]
    assert "all are in the train split instead" in caplog.text
    thirds = Split(train=0.4, valid=0.3, test=0.3)
    with pytest.raises(UserError, match="too few for the splits"):
        store_files(tmp_path / "cell.h5", files(tmp_path / "cell.cif", labels=False, split=thirds))


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
    assert store.info.checksum == joint(sha256(train), sha256(test))
    for read, written in zip(store.iterate(), read_files(config), strict=True):
        assert np.array_equal(read.forces, written.forces)
        assert read.energy == written.energy
    references = store.info.reference_energies
    composition = {6: 2, 1: 6, 8: 1}
    total = sum(count * references[z] for z, count in composition.items())
    energies = [store[i].energy for i in store.splits["train"]]
    assert total == pytest.approx(np.mean(energies), abs=1e-3)


def test_energies_of_isolated_atoms_become_the_reference_energies(shared_data, tmp_path):
    config = files(
        shared_data / "rmd17" / "ethanol-train.extxyz.xz",
        limit=30,
        isolated_atoms=str(shared_data / "rmd17" / "isolated-atoms.extxyz.xz"),
    )
    store_files(tmp_path / "ethanol.h5", config)
    store = StructureStore(tmp_path / "ethanol.h5")
    energies = store.info.reference_energies
    assert energies[1] == pytest.approx(-13.568422383)  # the first frame of the file
    assert set(energies) == {1, 6, 7, 8}
    # Ethanol is bound, by some 4 to 5 eV an atom.
    binding = store[0].energy - sum(energies[int(z)] for z in store[0].numbers)
    assert -5 * 9 < binding < -4 * 9


def joint(*digests):
    return hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()


def test_checksum_of_a_directory(tmp_path, shared_data):
    store_files(
        tmp_path / "a.h5", files(written_deepmd(tmp_path / "system"), split=Split(by="structure"))
    )
    content = sorted(p for p in (tmp_path / "system").rglob("*") if p.is_file())
    assert StructureStore(tmp_path / "a.h5").info.checksum == joint(*map(sha256, content))


def written_deepmd(path):
    (path / "set.000").mkdir(parents=True)
    (path / "type.raw").write_text("0\n1\n")
    (path / "type_map.raw").write_text("Na\nCl\n")
    rng = np.random.default_rng(0)
    arrays = {
        "box": np.tile(5.6 * np.eye(3).ravel(), (4, 1)),
        "coord": np.tile([0, 0, 0, 2.8, 0, 0], (4, 1)) + rng.normal(0, 0.05, (4, 6)),
        "energy": rng.normal(size=4),
        "force": rng.normal(size=(4, 6)),
    }
    for name, array in arrays.items():
        np.save(path / "set.000" / f"{name}.npy", array)
    return path


def test_a_split_that_cannot_be_made_leaves_no_store(tmp_path):
    config = files(written_deepmd(tmp_path / "system"), split=Split(by="composition"))
    with pytest.raises(UserError, match=r"split\.by: structure"):
        store_files(tmp_path / "a.h5", config)
    assert not (tmp_path / "a.h5").exists()


# --- published datasets -------------------------------------------------------------------

FRAMES = 3000


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    """An archive of rMD17's layout with one molecule of 3,000 frames."""
    directory = tmp_path_factory.mktemp("downloads")
    (directory / "rmd17").mkdir()
    rng = np.random.default_rng(0)
    content = io.BytesIO()
    positions = np.array([[0, 0, 0], [1.1, 0, 0], [0, 1.2, 0]])
    np.savez(
        content,
        nuclear_charges=np.array([6, 1, 1], dtype=np.uint8),
        coords=positions + rng.normal(0, 0.05, (FRAMES, 3, 3)),
        energies=rng.normal(-24000, 1, FRAMES),
        forces=rng.normal(size=(FRAMES, 3, 3)),
    )
    members = {"rmd17/npz_data/rmd17_ethanol.npz": content.getvalue()}
    for fold in range(1, 6):
        order = rng.permutation(FRAMES)
        for part, indices in (("train", order[:1000]), ("test", order[1000:2000])):
            text = "\n".join(map(str, indices)) + "\n"
            members[f"rmd17/splits/index_{part}_0{fold}.csv"] = text.encode()
    with tarfile.open(directory / "rmd17" / "rmd17.tar.bz2", "w:bz2") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return directory


def published(path, downloads, **changes):
    config = Published(source="published", name="rmd17-ethanol", **changes)
    store_published(path, config, downloads, ["ab12"], workers=2)
    return StructureStore(path)


def sizes(store):
    return [len(store.splits[part]) for part in ("train", "valid", "test")]


def test_the_protocol_of_the_study_is_the_default_on_rmd17(tmp_path, downloads):
    store = published(tmp_path / "a.h5", downloads)
    assert sizes(store) == [50, 950, FRAMES - 1000]
    assert store.info.checksum == "ab12"
    assert "CC0" in store.info.licence
    assert store.info.level_of_theory.startswith("PBE/def2-SVP")
    assert "figshare" in store.info.source
    assert store[0].energy == pytest.approx(-24000 * kcal / mol, rel=1e-3)


def test_the_split_of_rmd17_can_be_another(tmp_path, downloads):
    first = published(tmp_path / "1.h5", downloads, unassigned="none")
    assert sizes(first) == [50, 950, 1000]
    counts = Counts(train=800, valid=200, test=300)
    other = published(tmp_path / "2.h5", downloads, fold=2, counts=counts)
    assert sizes(other) == [800, 200, 300]
    both = [np.union1d(s.splits["train"], s.splits["valid"]) for s in (first, other)]
    assert not np.array_equal(*both)
    again = published(tmp_path / "3.h5", downloads, unassigned="none", seed=1)
    assert np.array_equal(first.splits["test"], again.splits["test"])
    assert not np.array_equal(first.splits["train"], again.splits["train"])


def test_a_damaged_archive_leaves_no_store(tmp_path, downloads):
    content = (downloads / "rmd17" / "rmd17.tar.bz2").read_bytes()
    (tmp_path / "rmd17").mkdir()
    (tmp_path / "rmd17" / "rmd17.tar.bz2").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"rmd17\.tar\.bz2: .*cut off or damaged"):
        published(tmp_path / "a.h5", tmp_path)
    assert not list(tmp_path.glob("*.h5*"))


def test_a_set_without_labels_is_for_tests_alone(tmp_path):
    """WBM's initial structures: a zip with an extxyz file a material."""
    (tmp_path / "wbm").mkdir()
    crystals = [bulk("NaCl", "rocksalt", 5.6), bulk("Cu"), bulk("Si")]
    with zipfile.ZipFile(tmp_path / "wbm" / get_published("wbm").files[0].name, "w") as archive:
        for number, atoms in enumerate(crystals):
            atoms.info["material_id"] = f"wbm-1-{number}"
            text = io.StringIO()
            ase.io.write(text, atoms, format="extxyz")
            archive.writestr(f"wbm-1-{number}.extxyz", text.getvalue())
    config = Published(source="published", name="wbm")
    store_published(tmp_path / "a.h5", config, tmp_path, ["ab12", "cd34"])
    store = StructureStore(tmp_path / "a.h5")
    assert sizes(store) == [0, 0, 3]
    assert [structure.group for structure in store.iterate()] == ["wbm-1-0", "wbm-1-1", "wbm-1-2"]
    assert store.labelled == {"energy": 0, "forces": 0, "stress": 0}
    assert store.info.reference_energies == {}
