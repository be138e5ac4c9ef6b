"""Archives of extended XYZ files, as Matbench Discovery and MACE-OFF23 publish theirs."""

import tarfile
import tracemalloc
import zipfile

import pytest
from format_samples import (
    assert_records,
    extxyz_bytes,
    real_frames,
    salt,
    water,
    write_tar,
    write_zip,
)

from irrepress.core.errors import UserError
from irrepress.data.config import LabelKeys
from irrepress.data.formats import compression as decompressing
from irrepress.data.formats.extxyz_archive import ExtxyzArchiveReader
from irrepress.data.formats.registry import make_reader


def records(path, *args):
    return list(ExtxyzArchiveReader([path], *args).records())


def trajectory(material, count, seed=0):
    images = [salt(seed + index) for index in range(count)]
    for index, atoms in enumerate(images):
        atoms.info.update(
            material_id=material,
            formula="NaCl",
            task_id=material,
            calc_id=0,
            ionic_step=index,
            frame_id=f"{material}-0-{index}",
            mp2020_corrected_energy=-99.0,
        )
    return images


def test_mptrj_of_matbench_discovery(tmp_path):
    """2024-09-03-mp-trj.extxyz.zip: flat members, one a material, written by its
    ``data/pmg_structs_to_ase_extxyz.py`` (stress times -0.1 GPa) and ``ase_atoms_to_zip``."""
    one, two = trajectory("mp-22862", 3), trajectory("mp-1", 2, seed=10)
    path = write_zip(
        tmp_path / "mp-trj.extxyz.zip",
        {"mp-22862.extxyz": extxyz_bytes(one), "mp-1.extxyz": extxyz_bytes(two)},
    )
    read = records(path, LabelKeys(group="material_id"))
    assert_records(read, one + two)
    assert [r.structure.group for r in read] == ["mp-22862"] * 3 + ["mp-1"] * 2
    assert read[4].where == f"{path}: mp-1.extxyz: frame 1"


def test_wbm_initial_structures_have_no_labels(tmp_path):
    """2024-08-04-wbm-initial-atoms.extxyz.zip: one structure a member, nothing but its id."""
    images = [salt(index) for index in range(3)]
    for index, atoms in enumerate(images):
        atoms.calc = None
        atoms.info["material_id"] = f"wbm-1-{index + 1}"
    members = {f"wbm-1-{i + 1}.extxyz": extxyz_bytes([a]) for i, a in enumerate(images)}
    path = write_zip(tmp_path / "wbm.zip", members)
    keys = LabelKeys(group="material_id")
    read = records(path, keys, None, {"labels": [], "parts": {"*.zip": "test"}})
    assert [r.structure.group for r in read] == ["wbm-1-1", "wbm-1-2", "wbm-1-3"]
    assert all(r.structure.energy != r.structure.energy for r in read)
    assert {r.part for r in read} == {"test"}
    assert all("no energy" in str(error) for error in records(path, keys))


def test_spice_of_mace_off23(tmp_path):
    """train_large_neut_no_bad_clean.tar.gz: one member; the molecule's SMILES in info."""
    images = [water(index) for index in range(3)]
    for atoms in images:
        atoms.info.update(smiles="[H:2][O:1][H:3]", total_charge=0, config_type="PubChem")
    path = write_tar(tmp_path / "train_large.tar.gz", {"train_large.xyz": extxyz_bytes(images)})
    options = {"parts": {"train_*.tar.gz": "train"}}
    read = records(path, LabelKeys(group="smiles"), None, options)
    assert_records(read, images)
    assert {(r.structure.group, r.part) for r in read} == {("[H:2][O:1][H:3]", "train")}


@pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz"])
def test_tar_archives(tmp_path, compression):
    members = {f"set/{i}.xyz": extxyz_bytes([salt(i), water(i)]) for i in range(3)}
    path = write_tar(tmp_path / "a.tar", members, compression)
    assert_records(records(path), [f(i) for i in range(3) for f in (salt, water)])


def test_parts_by_the_names_of_members(tmp_path):
    members = {f"{part}/a.xyz": extxyz_bytes([salt()]) for part in ("train", "val", "extra")}
    path = write_zip(tmp_path / "a.zip", members)
    options = {"parts": {"train/*": "train", "val/*": "valid"}}
    assert [r.part for r in records(path, None, None, options)] == ["train", "valid", None]


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_what_an_operating_system_adds_is_left_out(tmp_path, write):
    members = {
        "__MACOSX/._a.xyz": b"\x00\x05\x16\x07",
        "._a.xyz": b"\x00\x05\x16\x07",
        ".DS_Store": b"Bud1",
        "readme.txt": b"hello",
        "a.xyz": extxyz_bytes([salt()]),
        "table.csv": b"1,2,3",
    }
    assert_records(records(write(tmp_path / "a", members)), [salt()])


def test_a_chunk_goes_over_many_small_members(tmp_path):
    members = {f"wbm-1-{i}.extxyz": extxyz_bytes([water(i)]) for i in range(300)}
    path = write_zip(tmp_path / "a.zip", members)
    assert [len(chunk) for chunk in ExtxyzArchiveReader([path]).chunks()] == [256, 44]


def test_memory_does_not_grow_with_a_member(tmp_path):
    """A member of 18 MB is never whole in memory."""
    one = extxyz_bytes([salt(0, repeat=3)] * 100)
    path = write_tar(tmp_path / "a.tar.gz", {"a.xyz": one * 40})
    tracemalloc.start()
    frames = sum(len(chunk) for chunk in ExtxyzArchiveReader([path]).chunks())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert frames == 4000
    assert len(one) * 40 > 16e6
    assert peak < 12e6


def test_real_frames(shared_data, tmp_path):
    images = real_frames(shared_data, "foundation/mptrj-random")
    members = {f"{i}.extxyz": extxyz_bytes([atoms]) for i, atoms in enumerate(images)}
    keys = LabelKeys(group="mptrj_traj_id")
    for path in (write_zip(tmp_path / "a.zip", members), write_tar(tmp_path / "a.tgz", members)):
        read = records(path, keys)
        assert_records(read, images)
        assert [r.structure.group for r in read] == [a.info["mptrj_traj_id"] for a in images]


# --- bad archives -------------------------------------------------------------------------


def test_a_bad_frame_is_named_with_its_member(tmp_path):
    members = {
        "a.xyz": extxyz_bytes([salt(), salt(energy=float("nan"))]),
        "b.xyz": extxyz_bytes([salt(2)]),
    }
    path = write_zip(tmp_path / "a.zip", members)
    first, error, last = records(path)
    assert str(error).startswith(f"{path}: a.xyz: frame 1: energy holds nan")
    assert_records([first, last], [salt(), salt(2)])


@pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz"])
@pytest.mark.parametrize("cut", ["member", "header", "end"])
@pytest.mark.parametrize("ahead", [1 << 20, 4096])
def test_tar_archives_that_are_cut_off(tmp_path, monkeypatch, compression, cut, ahead):
    """Also where tarfile would take the rest of a header for the end of the archive."""
    monkeypatch.setattr(decompressing, "_BUFFER", ahead)
    content = extxyz_bytes([salt(i, repeat=2) for i in range(20)])
    path = write_tar(tmp_path / "a.tar", {f"{i}.xyz": content for i in range(6)}, compression)
    data = path.read_bytes()
    blocks = (len(content) + 511) // 512 + 1
    length = {
        "member": len(data) // 2,
        "header": 512 * blocks * 3 + 100,  # within the fourth header of a plain archive
        "end": 512 * blocks * 6 if not compression else len(data) - 12,
    }[cut]
    path.write_bytes(data[: min(length, len(data) - 12)])
    with pytest.raises(UserError, match=rf"{path}.* cut off.*download it again"):
        records(path)


@pytest.mark.parametrize("keep", [0.5, 0.99])
def test_zip_archives_that_are_cut_off(tmp_path, keep):
    path = write_zip(tmp_path / "a.zip", {"a.xyz": extxyz_bytes([salt(i) for i in range(50)])})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(UserError, match=rf"{path}: .*cut off or damaged.*download it again"):
        records(path)


@pytest.mark.parametrize("name", [".", "/", "./", "a/.", "..", "./."])
def test_members_without_a_name(tmp_path, name):
    members = {name: b"3\n", "good.extxyz": extxyz_bytes([salt()])}
    path = write_tar(tmp_path / "a.tar", members, "")
    (record,) = make_reader("auto", [path]).records()
    assert_records([record], [salt()])


def test_a_flipped_byte_in_a_zip_archive(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:  # stored, so that text stays text
        archive.writestr("a.xyz", extxyz_bytes([salt(i) for i in range(5)]))
    data = bytearray(path.read_bytes())
    data[data.index(b"Na  ") + 8] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"a\.xyz: frame \d: the compressed file is .*CRC"):
        records(path)


def test_encrypted_members(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a.xyz": extxyz_bytes([salt()])})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"a\.xyz is encrypted; unpack it yourself"):
        records(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html><body>Sign in</body></html>", "this is a web page; the server sent a web page"),
        (b"\x89HDF\r\n\x1a\n", "this is an HDF5 file; set format: mace-hdf5"),
        (b"hello", "it does not look like that"),
    ],
)
def test_what_is_no_archive(tmp_path, content, message):
    (tmp_path / "mp-trj.extxyz.zip").write_bytes(content)
    with pytest.raises(UserError, match=f"expected a zip or tar archive, but {message}"):
        ExtxyzArchiveReader([tmp_path / "mp-trj.extxyz.zip"])


def test_archives_of_other_things(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a/rows.aselmdb": b"x", "b.npz": b"y"})
    with pytest.raises(UserError, match=r"no \.extxyz or \.xyz files .*such as a/rows\.aselmdb, b"):
        records(path)
    with pytest.raises(UserError, match="there are no structures"):
        records(write_zip(tmp_path / "b.zip", {}))
    with tarfile.open(tmp_path / "c.tar.gz", "w:gz"):
        pass
    with pytest.raises(UserError, match=r"c\.tar\.gz: "):
        records(tmp_path / "c.tar.gz")
