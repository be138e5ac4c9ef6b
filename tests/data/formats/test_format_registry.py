"""Which reader a file of a user gets."""

import bz2
import gzip
import lzma

import h5py
import pytest
from format_samples import extxyz_bytes, salt, write_deepmd, write_mace_hdf5, write_tar, write_zip

from irrepress.core.errors import UserError
from irrepress.data.config import LabelKeys, Units
from irrepress.data.formats.registry import guess_format, make_reader

XYZ = extxyz_bytes([salt()])


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.xyz", XYZ, "extxyz"),
        ("a.EXTXYZ", XYZ, "extxyz"),
        ("a.xyz.gz", gzip.compress(XYZ), "extxyz"),
        ("a.extxyz.bz2", bz2.compress(XYZ), "extxyz"),
        ("a.extxyz.xz", lzma.compress(XYZ), "extxyz"),
        ("a.traj", b"- of Ulm", "ase"),
        ("POSCAR", b"salt\n1.0\n", "ase"),
        ("vasprun.xml.gz", gzip.compress(b"<?xml"), "ase"),
        ("a.json", b'{"1": {"cell": []}}', "ase"),
        ("a.json", b' {"mp-1005792": {}}', "mptrj-json"),
        ("a.json.gz", gzip.compress(b'{"mvc-1": {}}'), "mptrj-json"),
        ("a.db", b"SQLite format 3\x00", "ase-db"),
        ("a.data", b"SQLite format 3\x00", "ase-db"),
        ("a", b"\x89HDF\r\n\x1a\n", "mace-hdf5"),
    ],
    # Compressed content carries the time; processes that share the tests need names that agree.
    ids=lambda value: "content" if isinstance(value, bytes) else None,
)
def test_files(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    assert guess_format(tmp_path / name) == expected


@pytest.mark.parametrize("write", [write_zip, write_tar])
@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"readme": b"", "mp-1.extxyz": XYZ}, "extxyz-archive"),
        ({"train/metadata.npz": b"", "train/data.0.aselmdb": b""}, "ase-db"),
        ({"Sn/data/type.raw": b"0", "Sn/data/set.000/coord.npy": b""}, "deepmd"),
        ({"rmd17/readme.txt": b"", "rmd17/npz_data/rmd17_aspirin.npz": b""}, "rmd17"),
    ],
)
def test_archives(tmp_path, write, members, expected):
    assert guess_format(write(tmp_path / "a.archive", members)) == expected


def test_directories(tmp_path):
    write_deepmd(tmp_path / "dp/a", [salt()])
    assert guess_format(tmp_path / "dp") == "deepmd"
    (tmp_path / "mace").mkdir()
    write_mace_hdf5(tmp_path / "mace/train_0.h5", [salt()])
    assert guess_format(tmp_path / "mace") == "mace-hdf5"


def test_what_no_reader_reads(tmp_path):
    (tmp_path / "songs").mkdir()
    with pytest.raises(UserError, match="no reader for this directory, which holds nothing; name"):
        guess_format(tmp_path / "songs")
    path = write_zip(tmp_path / "a.zip", {"a.mp3": b"", "b.mp3": b""})
    with pytest.raises(UserError, match=r"for this archive, which holds a\.mp3, b\.mp3; unpack"):
        guess_format(path)
    with pytest.raises(UserError, match=r"nowhere\.xyz: cannot be read"):
        guess_format(tmp_path / "nowhere.xyz")
    (tmp_path / "empty.xyz").touch()
    with pytest.raises(UserError, match="the file is empty"):
        guess_format(tmp_path / "empty.xyz")
    (tmp_path / "cut.xyz.gz").write_bytes(gzip.compress(XYZ)[:5])
    with pytest.raises(UserError, match=r"cut\.xyz\.gz: the compressed file is cut off"):
        guess_format(tmp_path / "cut.xyz.gz")


@pytest.mark.parametrize("content", [b"SQLite format 3\x00", b"\x89HDF\r\n\x1a\n"])
def test_compressed_databases_are_to_be_decompressed(tmp_path, content):
    (tmp_path / "a.db.gz").write_bytes(gzip.compress(content + bytes(100)))
    with pytest.raises(UserError, match=r"a.db.gz: compressed, .*; decompress it first"):
        guess_format(tmp_path / "a.db.gz")


def test_readers_by_name(tmp_path):
    (tmp_path / "a.xyz").write_bytes(XYZ)
    (record,) = make_reader("auto", [tmp_path / "a.xyz"]).records()
    keys, units = LabelKeys(), Units(energy="meV")
    (other,) = make_reader("ase", [tmp_path / "a.xyz"], keys, units).records()
    assert other.structure.energy == record.structure.energy / 1000
    with pytest.raises(UserError, match="no reader 'extxzy'; did you mean 'extxyz'"):
        make_reader("extxzy", [tmp_path / "a.xyz"])


def test_rmd17_needs_to_know_the_molecule(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"rmd17/npz_data/rmd17_aspirin.npz": b""})
    with pytest.raises(UserError, match="rMD17 has no molecule ''; Known: aspirin"):
        make_reader("auto", [path])


def test_a_store_is_not_taken_for_a_file_of_mace(tmp_path):
    with h5py.File(tmp_path / "salt.h5", "w") as file:
        file["positions"] = [0.0]
    with pytest.raises(UserError, match="not of mace_prepare_data"):
        make_reader("auto", [tmp_path / "salt.h5"])
