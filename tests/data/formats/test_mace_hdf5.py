"""HDF5 files of ``mace_prepare_data``: layout of ``save_configurations_as_HDF5`` in MACE's
``mace/data/utils.py``, today's and the one before ``properties``."""

import re

import h5py
import numpy as np
import pytest
from ase import Atoms
from format_samples import (
    assert_frame,
    assert_records,
    labelled,
    real_frames,
    salt,
    water,
    write_mace_hdf5,
)

from irrepress.core.errors import UserError
from irrepress.data.config import LabelKeys, Units
from irrepress.data.formats import base
from irrepress.data.formats.mace_hdf5 import MaceHdf5Reader


def records(path, *args):
    return list(MaceHdf5Reader([path], *args).records())


def images_of(count):
    return [salt(i) if i % 3 else water(i) for i in range(count)]


@pytest.mark.parametrize("old", [False, True], ids=["today", "older"])
@pytest.mark.parametrize("batch", [None, 4])
def test_both_layouts(tmp_path, old, batch):
    """Twelve groups: as text, config_10 would come before config_2."""
    path = write_mace_hdf5(tmp_path / "train.h5", images_of(50), batch=batch, old=old)
    read = records(path)
    assert_records(read, images_of(50), 0)
    assert read[49].where == f"{path}: " + (
        "config_batch_12/config_1" if batch else "config_batch_0/config_49"
    )


def test_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "CHUNK_FRAMES", 20)
    path = write_mace_hdf5(tmp_path / "train.h5", [water(i) for i in range(30)])
    chunks = list(MaceHdf5Reader([path]).chunks())
    assert [(c.batch, c.start, c.stop) for c in chunks] == [
        ("config_batch_0", 0, 20),
        ("config_batch_0", 20, 30),
    ]


@pytest.mark.parametrize("old", [False, True])
def test_the_frame_that_mace_repeats_is_read_once(tmp_path, old):
    images = images_of(5)
    assert_records(records(write_mace_hdf5(tmp_path / "a.h5", images, 3, old, True)), images)
    path = write_mace_hdf5(tmp_path / "b.h5", images)
    with h5py.File(path, "a") as file:
        file.attrs["drop_last"] = True  # on a file that does not end with the repetition
    assert_records(records(path), images)


@pytest.mark.parametrize("old", [False, True])
def test_absent_labels_are_absent_however_they_are_written(tmp_path, old):
    """Today the text None, before zeros with the weight 0."""
    path = write_mace_hdf5(tmp_path / "a.h5", [salt(stress=None), salt(forces=None)], old=old)
    first, second = records(path)
    assert np.isnan(first.structure.stress).all()
    assert np.isnan(second.structure.forces).all()
    assert second.structure.energy == salt().calc.results["energy"]
    assert ("forces of weight zero (forces_weight) taken as absent" if old else "no forces") in (
        second.notes
    )


@pytest.mark.parametrize("old", [False, True])
def test_virials_give_the_stress(tmp_path, old):
    atoms = salt(stress=None)
    atoms.calc.results["virials"] = -salt().get_stress(voigt=False) * salt().get_volume()
    path = write_mace_hdf5(tmp_path / "a.h5", [atoms], old=old)
    (record,) = records(path)
    np.testing.assert_allclose(record.structure.stress, salt().calc.results["stress"])
    assert "stress taken from 'virials' as -virial/volume" in " ".join(record.notes)
    units = Units(energy="meV", stress="virial")
    (record,) = records(path, LabelKeys(stress="virials"), units)
    expected = salt().calc.results["stress"] / 1000
    np.testing.assert_allclose(record.structure.stress, expected)


def test_keys_and_units(tmp_path):
    path = write_mace_hdf5(tmp_path / "a.h5", [salt()])
    with h5py.File(path, "a") as file:
        file["config_batch_0/config_0/properties/energy_hf"] = -1.5
    keys, units = LabelKeys(energy="energy_hf"), Units(energy="Hartree")
    (record,) = records(path, keys, units)
    assert record.structure.energy == pytest.approx(-1.5 * 27.21138602)
    np.testing.assert_allclose(record.structure.forces, salt().calc.results["forces"] * 27.21138602)


def test_geometry_that_is_none_is_that_of_a_molecule(tmp_path):
    path = write_mace_hdf5(tmp_path / "a.h5", [water()])
    with h5py.File(path, "a") as file:
        for key in ("cell", "pbc"):
            del file[f"config_batch_0/config_0/{key}"]
            file[f"config_batch_0/config_0/{key}"] = "None"
    assert_records(records(path), [water()])


def test_directories_and_parts(tmp_path):
    for number in range(11):
        write_mace_hdf5(tmp_path / f"train_{number}.h5", [salt(number)])
    (tmp_path / "statistics.json").touch()
    read = records(tmp_path, None, None, {"parts": {"train_*": "train"}})
    assert_records(read, [salt(number) for number in range(11)])
    assert {r.part for r in read} == {"train"}


def test_isolated_atoms(tmp_path):
    atom = labelled(Atoms("Na"), forces=None, stress=None)
    atom.info["config_type"] = "IsolatedAtom"
    first, second = records(write_mace_hdf5(tmp_path / "a.h5", [atom, salt()]))
    assert first.isolated_atom and not second.isolated_atom


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("name", ["foundation/mptrj-random", "molecules/3bpa-300K-train"])
def test_real_frames(shared_data, tmp_path, name, old):
    images = real_frames(shared_data, name)
    assert_records(records(write_mace_hdf5(tmp_path / "a.h5", images, old=old)), images, 0)


# --- bad input ----------------------------------------------------------------------------


def test_bad_frames_are_named(tmp_path):
    bad = salt(forces=np.full((2, 3), np.nan))
    path = write_mace_hdf5(tmp_path / "a.h5", [salt(), bad, salt(2), salt(3)])
    with h5py.File(path, "a") as file:
        del file["config_batch_0/config_2/positions"]
    first, second, third, fourth = records(path)
    assert str(second) == (
        f"{path}: config_batch_0/config_1: forces holds nan; correct or remove the frame"
    )
    assert str(third).startswith(f"{path}: config_batch_0/config_2 cannot be read (KeyError")
    assert_frame(first.structure, salt())
    assert_frame(fourth.structure, salt(3))


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.95])
def test_files_that_are_cut_off(tmp_path, keep):
    whole = write_mace_hdf5(tmp_path / "a.h5", images_of(50)).read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(UserError, match=r"cut\.h5: the HDF5 file is cut off or damaged"):
        records(tmp_path / "cut.h5")


def test_damage_within_a_file_is_an_error_or_one_bad_frame(tmp_path):
    """Blocks are overwritten one after another: no other exception leaves."""
    images = [salt(i) for i in range(12)]
    whole = write_mace_hdf5(tmp_path / "a.h5", images).read_bytes()
    for start in range(2000, len(whole) - 2000, len(whole) // 25):
        (tmp_path / "b.h5").write_bytes(whole[:start] + bytes(700) + whole[start + 700 :])
        try:
            read = records(tmp_path / "b.h5")
        except UserError as error:
            assert str(error).startswith(f"{tmp_path / 'b.h5'}: ")
        else:
            assert len(read) <= 12


def test_other_files(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["positions"] = 1
    with pytest.raises(UserError, match=r"not of mace_prepare_data .*but positions\)"):
        MaceHdf5Reader([tmp_path / "a.h5"])
    (tmp_path / "b.h5").write_bytes(b"hello")
    with pytest.raises(UserError, match="expected an HDF5 file, but it does not look like that"):
        MaceHdf5Reader([tmp_path / "b.h5"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"there are no \.h5 or \.hdf5 files in this directory"):
        MaceHdf5Reader([tmp_path / "empty"])
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file.create_group("config_batch_0")
    with pytest.raises(UserError, match=r"c\.h5: there are no structures"):
        records(tmp_path / "c.h5")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: replace(file, "config_batch_0", 3.0), "not of mace_prepare_data"),
        (lambda file: replace(file, "config_batch_0/config_1", 3.0), "config_1 cannot be read"),
        (lambda file: replace(file, f"{CONFIG}/positions", "far away"), "config_0 cannot be read"),
        (lambda file: replace(file, f"{CONFIG}/positions", np.zeros(5)), "config_0 cannot be read"),
        (lambda file: replace(file, f"{CONFIG}/cell", h5py.SoftLink("/loop")), "cannot be read"),
        (lambda file: replace(file, f"{CONFIG}/pbc", h5py.ExternalLink("no.h5", "/")), "be read"),
        (lambda file: file[f"{CONFIG}/properties"].create_group("x"), None),
        (lambda file: replace(file, f"{CONFIG}/properties/energy", np.zeros((2, 2))), "energy has"),
        (lambda file: file.attrs.update({"drop_last": [1, 2]}), "cut off or damaged"),
    ],
)
def test_odd_content_is_one_message(tmp_path, spoil, message):
    path = write_mace_hdf5(tmp_path / "a.h5", [salt(), salt(1)])
    with h5py.File(path, "a") as file:
        spoil(file)
    try:
        found = [each for each in records(path) if isinstance(each, UserError)]
    except UserError as error:
        found = [error]
    if message is None:
        assert not found
    else:
        (error,) = found
        assert re.search(message, str(error)) and str(error).startswith(str(path))


CONFIG = "config_batch_0/config_0"


def replace(file, name, content):
    del file[name]
    file[name] = content
