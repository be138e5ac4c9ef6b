"""Whatever else ASE reads."""

import bz2
import gzip
import lzma

import ase.io
import pytest
from ase.io.trajectory import Trajectory
from format_samples import assert_records, real_frames, salt, water

from irrepress.core.errors import UserError
from irrepress.data.config import LabelKeys
from irrepress.data.formats.ase_files import AseReader


def write(path, images):
    ase.io.write(path, images)
    return path


def records(path, *args):
    return list(AseReader([path], *args).records())


@pytest.mark.parametrize("name", ["a.traj", "a.json", "a.extxyz"])
def test_formats(tmp_path, name):
    images = [salt(i) for i in range(5)]
    images[3].info["group"] = "sodium chloride"
    path = write(tmp_path / name, images)
    read = records(path)
    assert_records(read, images)
    assert read[4].where == f"{path}: frame 4"
    if name != "a.json":  # which keeps no info
        assert [r.structure.group for r in read] == ["", "", "", "sodium chloride", ""]


@pytest.mark.parametrize("opener", [gzip.open, bz2.open, lzma.open])
def test_formats_that_need_seeking_are_read_compressed(tmp_path, opener):
    images = [salt(i) for i in range(3)]
    plain = write(tmp_path / "a.traj", images)
    suffix = {gzip.open: ".gz", bz2.open: ".bz2", lzma.open: ".xz"}[opener]
    path = tmp_path / f"b.traj{suffix}"
    with opener(path, "wb") as target:
        target.write(plain.read_bytes())
    assert_records(records(path), images)


def test_keys_and_parts(tmp_path):
    path = write(tmp_path / "test.traj", salt(free_energy=-7.25))
    options = {"parts": {"test.*": "test"}}
    (record,) = records(path, LabelKeys(energy="free_energy"), None, options)
    assert record.structure.energy == -7.25
    assert record.part == "test"


def test_large_structures_make_small_chunks(tmp_path):
    path = write(tmp_path / "a.traj", [salt(i, repeat=13) for i in range(24)])  # 4394 atoms
    assert [len(chunk) for chunk in AseReader([path]).chunks()] == [9, 9, 6]


def test_real_frames(shared_data, tmp_path):
    images = real_frames(shared_data, "crystals/gst-valid")
    assert_records(records(write(tmp_path / "a.traj", images)), images, 1e-12)


# --- bad input ----------------------------------------------------------------------------


def test_a_bad_frame_is_named_and_the_others_are_read(tmp_path):
    path = write(tmp_path / "bad.traj", [salt(), salt(energy=float("nan")), salt(2)])
    first, error, last = records(path)
    assert str(error) == f"{path}: frame 1: energy holds nan; correct or remove the frame"
    assert_records([first, last], [salt(), salt(2)])


@pytest.mark.parametrize("name", ["a.traj", "a.traj.gz"])
def test_files_that_are_cut_off(tmp_path, name):
    plain = write(tmp_path / "a.traj", [salt(i, repeat=5) for i in range(20)])
    if name.endswith(".gz"):
        (tmp_path / name).write_bytes(gzip.compress(plain.read_bytes()))
    cut = tmp_path / f"cut-{name}"
    cut.write_bytes((tmp_path / name).read_bytes()[:-1000])
    with pytest.raises(UserError, match=rf"cut-{name}: .*(again|again)"):
        records(cut)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.traj", b"garbage garbage", "frame 0 cannot be read"),
        ("a.unknown", b"garbage garbage", "ASE does not recognise this file by name or content"),
        ("a.cif", b"\n", "frame 0 cannot be read|no structures"),
        ("a.traj.gz", b"not compressed", "frame 0: the compressed file|cut off or damaged"),
        ("a.traj", b"<html>", "expected a file that ASE reads, but this is a web page"),
        ("a.traj", b"PK\x03\x04", "this is a zip archive; set format: extxyz-archive"),
    ],
)
def test_garbage(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        records(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_a_file_without_frames(tmp_path):
    with Trajectory(tmp_path / "a.traj", "w"):
        pass
    with pytest.raises(UserError):
        records(tmp_path / "a.traj")


def test_molecules_stay_molecules(tmp_path):
    (record,) = records(write(tmp_path / "a.traj", water()))
    assert not record.structure.pbc.any() and not record.structure.cell.any()
