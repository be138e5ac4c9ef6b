"""DeePMD-kit's npy format, as its documentation ("System") says; dpdata writes it independently."""

import shutil

import numpy as np
import pytest
from ase.build import bulk
from format_samples import (
    assert_records,
    labelled,
    members_of,
    real_frames,
    salt,
    water,
    write_deepmd,
    write_deepmd_raw,
    write_tar,
    write_zip,
)

from irrepress.core.errors import UserError
from irrepress.data.config import LabelKeys, Units
from irrepress.data.formats import base
from irrepress.data.formats.deepmd import DeepmdReader


def records(path, *args):
    return list(DeepmdReader([path], *args).records())


def salts(count, start=0):
    return [salt(start + i) for i in range(count)]


def waters(count):
    return [water(i) for i in range(count)]


def potash(seed):
    return labelled(bulk("KCl", "rocksalt", a=6.3), seed)


def test_systems_sets_and_groups(tmp_path):
    """Sets have more than nine frames each, and a virial whose negative over the volume is the
    stress, off the diagonal too."""
    write_deepmd(tmp_path / "data/a", salts(30), sets=3)
    write_deepmd(tmp_path / "data/b", waters(4))
    read = records(tmp_path / "data")
    assert_records(read, salts(30) + waters(4), 1e-12)
    assert [r.structure.group for r in read] == ["a"] * 30 + ["b"] * 4
    assert read[15].where == f"{tmp_path / 'data'}: a/set.001: frame 5"
    assert not read[-1].structure.pbc.any()


def test_a_system_itself_may_be_named(tmp_path):
    path = write_deepmd(tmp_path / "a", salts(3))
    assert_records(records(path), salts(3))


@pytest.mark.parametrize("pad", [0, 3])
def test_mixed_types(tmp_path, pad):
    """Frames of several compositions in one system; -1 pads them to one number of atoms."""
    images = [salt(0), potash(1), salt(2), potash(3)]
    write_deepmd(tmp_path / "a", images, sets=2, mixed=True, pad=pad)
    assert_records(records(tmp_path), images, 1e-12)


def test_three_atoms_have_a_virial_of_as_many_numbers_as_forces(tmp_path):
    cell = bulk("SiO2", "fluorite", a=5.0)
    images = [labelled(cell.copy(), seed) for seed in range(2)]
    write_deepmd(tmp_path / "a", images, mixed=True, pad=0)
    write_deepmd(tmp_path / "b", images, mixed=True, pad=2)
    assert_records(records(tmp_path), images + images, 1e-12)


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_archives_leave_nothing_behind(tmp_path, monkeypatch, write):
    write_deepmd(tmp_path / "data/train/a", salts(3))
    write_deepmd(tmp_path / "data/valid/b", salts(2, 10))
    path = write(tmp_path / "Sn.archive", members_of(tmp_path / "data", "Sn/"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    options = {"parts": {"*/train/*": "train", "*/valid/*": "valid"}}
    reader = DeepmdReader([path], None, None, options)
    chunks = list(reader.chunks())
    assert not list((tmp_path / "temporary").iterdir())
    path.unlink()  # chunks hold what they need
    read = [record for chunk in chunks for record in reader.parse(chunk)]
    assert_records(read, salts(3) + salts(2, 10))
    assert [r.part for r in read] == ["train"] * 3 + ["valid"] * 2
    assert read[4].structure.group == "Sn/valid/b"


@pytest.mark.parametrize(
    "line",
    [
        "data/init/{}",
        "./data/init/{}",
        "../Sn/data/init/{}",
        "/home/author/dpa/Sn/data/init/{}",
        "/home/author/data/other/data/init/{}/",
    ],
)
def test_official_lists_tell_systems_and_parts(tmp_path, line):
    """DPA-2's archives: lists in ``sys_dir``, with paths of the authors' machine or without."""
    for index, name in enumerate("abc"):
        write_deepmd(tmp_path / f"Sn/data/init/{name}", salts(2, 10 * index))
    shutil.copytree(tmp_path / "Sn/data", tmp_path / "Sn/copy")
    (tmp_path / "Sn/sys_dir").mkdir()
    (tmp_path / "Sn/sys_dir/train.txt").write_text(f"{line.format('c')}\n{line.format('a')}\n")
    (tmp_path / "Sn/sys_dir/valid.txt").write_text(line.format("b"))
    options = {"lists": {"train": "sys_dir/train.txt", "test": "sys_dir/valid.txt"}}
    archive = write_tar(tmp_path / "Sn.tar.gz", members_of(tmp_path / "Sn", "Sn/"))
    for path, root in ((archive, "Sn/"), (tmp_path / "Sn", "")):
        read = records(path, None, None, options)
        assert_records(read, salts(2, 20) + salts(2) + salts(2, 10))
        assert [r.part for r in read] == ["train"] * 4 + ["test"] * 2
        assert [r.structure.group for r in read][::2] == [f"{root}data/init/{n}" for n in "cab"]


def test_keys_name_npy_files_and_units_may_be_others(tmp_path):
    path = write_deepmd(tmp_path / "a", salts(2))
    energies = path / "set.000/energy.npy"
    np.save(path / "set.000/energy_dft.npy", np.load(energies) * 1000)
    for name in ("force", "virial"):
        values = np.load(path / f"set.000/{name}.npy")
        np.save(path / f"set.000/{name}.npy", values * 1000)
    energies.unlink()
    keys, units = LabelKeys(energy="energy_dft"), Units(energy="meV", stress="virial")
    assert_records(records(path, keys, units), salts(2), 1e-10)


def test_single_precision(tmp_path):
    write_deepmd(tmp_path / "a", salts(2), dtype=np.float32)
    assert_records(records(tmp_path), salts(2), 1e-5)


def test_no_virial_no_stress(tmp_path):
    images = [salt(i, stress=None) for i in range(2)]
    write_deepmd(tmp_path / "a", images)
    assert_records(records(tmp_path), images)


def test_chunks_are_bounded(tmp_path, monkeypatch):
    write_deepmd(tmp_path / "a", waters(300), sets=2)
    lengths = [len(c.arrays["coord"]) for c in DeepmdReader([tmp_path]).chunks()]
    assert lengths == [150, 150]
    monkeypatch.setattr(base, "CHUNK_BYTES", 48 * 3 * 60)
    lengths = [len(c.arrays["coord"]) for c in DeepmdReader([tmp_path]).chunks()]
    assert lengths == [60, 60, 30] * 2


def test_what_dpdata_writes(tmp_path):
    """The library of DeePMD-kit's own authors, for systems of one type and mixed ones."""
    dpdata = pytest.importorskip("dpdata", reason="the independent writer is not installed")
    images = salts(3) + [potash(seed) for seed in range(3, 5)]
    systems = dpdata.MultiSystems()
    for atoms in images:
        systems.append(dpdata.LabeledSystem(atoms, fmt="ase/structure"))
    systems.to("deepmd/npy", str(tmp_path / "plain"), prec=np.float64)
    systems.to("deepmd/npy/mixed", str(tmp_path / "mixed"), prec=np.float64)
    for folder in ("plain", "mixed"):
        read = records(tmp_path / folder)
        assert len(read) == 5
        # dpdata sorts atoms by type and systems by name.
        found = {round(r.structure.energy, 10): r.structure for r in read}
        for atoms in images:
            structure = found[round(atoms.calc.results["energy"], 10)]
            order = [list(structure.numbers).index(z) for z in atoms.numbers]
            assert structure.numbers[order].tolist() == atoms.numbers.tolist()
            np.testing.assert_allclose(structure.forces[order], atoms.calc.results["forces"])
            np.testing.assert_allclose(structure.stress, atoms.calc.results["stress"], atol=1e-10)
            volume = abs(np.linalg.det(structure.cell))
            assert volume == pytest.approx(atoms.get_volume())


def test_real_frames(shared_data, tmp_path):
    images = real_frames(shared_data, "foundation/mptrj-random", 12)
    for index, atoms in enumerate(images):
        write_deepmd(tmp_path / f"{index:02d}", [atoms])
    assert_records(records(tmp_path), images, 1e-9)


# --- bad input ----------------------------------------------------------------------------


def test_bad_frames_are_named(tmp_path):
    write_deepmd(tmp_path / "a", [salt(), salt(1, forces=np.full((2, 3), np.inf)), salt(2)])
    first, error, last = records(tmp_path)
    assert str(error) == (
        f"{tmp_path}: a/set.000: frame 1: forces holds inf; correct or remove the frame"
    )
    assert_records([first, last], [salt(), salt(2)])


def change(name, text):
    def apply(path):
        (path / name).write_text(text)

    return apply


def remove(name):
    return lambda path: (path / name).unlink()


def shorten(name):
    def apply(path):
        data = (path / name).read_bytes()
        (path / name).write_bytes(data[:-20])

    return apply


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove("type_map.raw"), "there is no type_map.raw with the elements"),
        (change("type_map.raw", "Na X1"), "X1 in type_map.raw is not an element"),
        (change("type.raw", "0 one"), "the system a is cut off or damaged"),
        (remove("set.000/coord.npy"), "set.000 has no coord.npy"),
        (remove("set.000/box.npy"), "set.000 has no box.npy and there is no file nopbc"),
        (shorten("set.000/coord.npy"), "the system a is cut off or damaged .*again"),
        (change("set.000/force.npy", "hello"), "the system a is cut off or damaged"),
    ],
)
def test_damaged_systems(tmp_path, spoil, message):
    spoil(write_deepmd(tmp_path / "data/a", salts(3)))
    with pytest.raises(UserError, match=message) as caught:
        records(tmp_path / "data")
    assert str(caught.value).startswith(f"{tmp_path / 'data'}: ")


@pytest.mark.parametrize("types", ["0 5", "0 1 1"])
def test_types_that_do_not_fit(tmp_path, types):
    path = write_deepmd(tmp_path / "a", salts(1))
    (path / "type.raw").write_text(types)
    (error,) = records(tmp_path)
    with pytest.raises(UserError, match=r"a/set\.000: frame 0.* cannot be read .*type\.raw"):
        raise error


def test_arrays_of_unequal_length(tmp_path):
    path = write_deepmd(tmp_path / "a", salts(3))
    np.save(path / "set.000/energy.npy", np.zeros(2))
    with pytest.raises(UserError, match=r"set\.000/energy\.npy has not 3 rows"):
        records(tmp_path)


def test_elements_may_be_given_where_the_archive_does_not_tell_them(tmp_path):
    path = write_deepmd(tmp_path / "a", [labelled(bulk("Cu"), i) for i in range(2)])
    (path / "type_map.raw").unlink()
    assert len(records(tmp_path, None, None, {"type_map": ["Cu"]})) == 2


def test_deuterium_is_hydrogen_and_cells_beside_nopbc_are_told(tmp_path):
    path = write_deepmd(tmp_path / "a", salts(1))
    (path / "type_map.raw").write_text("D T")
    (path / "nopbc").touch()
    reader = DeepmdReader([tmp_path])
    (record,) = reader.records()
    assert set(record.structure.numbers) == {1} and not record.structure.pbc.any()
    assert {remark.text for remark in reader.remarks} == {
        "cells not read, because of the file nopbc",
        "D or T taken as hydrogen",
    }


def test_missing_labels_are_named_by_file(tmp_path):
    path = write_deepmd(tmp_path / "a", salts(1))
    for name in ("force", "virial"):
        (path / f"set.000/{name}.npy").unlink()
    (path / "set.000/energy.npy").unlink()
    (error,) = records(tmp_path)
    assert "a/set.000: frame 0: no energy" in str(error)


def test_other_directories_and_archives(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="there is no system of DeePMD-kit in it"):
        DeepmdReader([tmp_path / "empty"])
    path = write_tar(tmp_path / "a.tgz", {"a.txt": b"hello"})
    with pytest.raises(UserError, match="there is no system of DeePMD-kit with frames"):
        records(path)
    (tmp_path / "a.tar").write_bytes(b"<html>")
    with pytest.raises(UserError, match="expected a directory or an archive, but this is a web"):
        DeepmdReader([tmp_path / "a.tar"])
    path = write_tar(tmp_path / "b.tgz", {"../../a/type.raw": b"0"})
    with pytest.raises(UserError, match=r"the member '\.\./\.\./a/type\.raw' leaves the archive"):
        records(path)


def test_lists_that_do_not_fit(tmp_path):
    write_deepmd(tmp_path / "data/a", salts(1))
    options = {"lists": {"train": "sys_dir/train.txt"}}
    with pytest.raises(UserError, match=r"no list sys_dir/train\.txt of the systems"):
        records(tmp_path, None, None, options)
    (tmp_path / "sys_dir").mkdir()
    (tmp_path / "sys_dir/train.txt").write_text("data/b\n")
    with pytest.raises(
        UserError, match="the list of systems contains data/b, which does not exist"
    ):
        records(tmp_path, None, None, options)


def test_archives_that_are_cut_off(tmp_path):
    write_deepmd(tmp_path / "data/a", salts(300))
    path = write_tar(tmp_path / "a.tgz", members_of(tmp_path / "data"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"a\.tgz: .*cut off.*download it again"):
        records(path)


# --- the raw format -----------------------------------------------------------------------


def test_raw_systems(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "CHUNK_FRAMES", 3)
    images = [salt(index) for index in range(7)]
    write_deepmd_raw(tmp_path / "raw/a", images)
    write_deepmd_raw(tmp_path / "raw/b", [water(index) for index in range(2)])
    read = records(tmp_path / "raw")
    assert_records(read[:7], images)
    assert_records(read[7:], [water(index) for index in range(2)])
    assert [r.structure.group for r in read] == ["a"] * 7 + ["b"] * 2
    assert read[5].where == f"{tmp_path / 'raw'}: a: frame 5"


def test_raw_systems_in_an_archive(tmp_path):
    write_deepmd_raw(tmp_path / "raw/a", [salt()])
    path = write_tar(tmp_path / "a.tar.gz", members_of(tmp_path / "raw"))
    assert_records(records(path), [salt()])


def test_sets_beside_raw_files_are_read_and_the_raw_files_are_not(tmp_path):
    write_deepmd(tmp_path / "dp", [salt()])
    np.savetxt(tmp_path / "dp/coord.raw", np.zeros((1, 6)))
    reader = DeepmdReader([tmp_path / "dp"])
    assert_records(reader.records(), [salt()])
    assert [remark.text[:18] for remark in reader.remarks] == ["raw files not read"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "box.raw").unlink(), "it has no box.raw and no file nopbc"),
        (lambda folder: cut(folder / "energy.raw"), "energy.raw have different numbers of lines"),
        (lambda folder: (folder / "force.raw").write_text("a b\n" * 3), "could not convert"),
        (lambda folder: (folder / "coord.raw").write_text("1 2\n1\n1\n"), "number of columns"),
    ],
)
def test_raw_systems_that_are_damaged(tmp_path, spoil, message):
    folder = write_deepmd_raw(tmp_path / "dp", [salt(index) for index in range(3)])
    spoil(folder)
    with pytest.raises(UserError, match=rf"{folder}: the system \. is .*{message}") as caught:
        records(tmp_path / "dp")
    assert "\n" not in str(caught.value)


def cut(path):
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize("types", ["0\n-1\n", "0\n2\n"])
def test_types_that_are_none_are_no_reason_to_drop_atoms(tmp_path, types):
    folder = write_deepmd(tmp_path / "dp", [salt()])
    (folder / "type.raw").write_text(types)
    (error,) = records(tmp_path / "dp")
    assert "which are not all known" in str(error) and "check type.raw" in str(error)
