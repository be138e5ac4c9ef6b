"""ASE databases: SQLite, LMDB as fairchem and ase-db-backends write it, and archives of LMDB."""

import errno
import json
import pickle
import random
import re
import sqlite3
import subprocess
import sys
import zlib
from contextlib import closing

import lmdb
import pytest
from ase import Atoms
from ase.db import connect
from format_samples import (
    assert_records,
    labelled,
    real_frames,
    salt,
    water,
    write_aselmdb,
    write_db,
    write_tar,
)

from irrepress.core.errors import UserError
from irrepress.data.config import LabelKeys
from irrepress.data.formats import ase_db, base, compression
from irrepress.data.formats.ase_db import AseDatabaseReader
from irrepress.data.formats.registry import make_reader

SALEX = (LabelKeys(group="sid"), None, {"group_pattern": "[^_]+"})


def records(path, *args):
    return list(AseDatabaseReader([path], *args).records())


def images_of(count):
    return [salt(i) if i % 3 else water(i) for i in range(count)]


# --- SQLite -------------------------------------------------------------------------------


def test_sqlite(tmp_path):
    images = images_of(7)
    path = write_db(tmp_path / "a.db", images)
    read = records(path, *SALEX)
    assert_records(read, images)
    assert [r.structure.group for r in read] == [f"agm{i:09d}" for i in range(7)]
    assert read[3].where == f"{path}: id 4"


def test_labels_and_groups_may_be_key_value_pairs(tmp_path):
    path = tmp_path / "a.db"
    atoms = salt(energy=None)
    with connect(path) as database:
        database.write(atoms, dft_energy=-6.25, parent="NaCl")
    (record,) = records(path, LabelKeys(energy="dft_energy", group="parent"))
    assert record.structure.energy == -6.25
    assert record.structure.group == "NaCl"


def test_sqlite_with_gaps_in_its_ids(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "CHUNK_FRAMES", 20)
    images = images_of(60)
    path = write_db(tmp_path / "a.db", images)
    gone = [1, *range(10, 40), 60]
    connect(path).delete(gone)
    chunks = list(AseDatabaseReader([path]).chunks())
    assert [(chunk.first, chunk.last) for chunk in chunks] == [(2, 51), (52, 59)]
    kept = [atoms for i, atoms in enumerate(images, 1) if i not in gone]
    assert_records(records(path), kept)


def test_reading_changes_nothing(tmp_path):
    path = write_db(tmp_path / "a.db", images_of(3))
    before = path.read_bytes()
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        assert len(records(path)) == 3
    finally:
        tmp_path.chmod(0o755)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.db"]


def test_sqlite_databases_of_others_are_left_alone(tmp_path):
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE songs (title)")
    before = path.read_bytes()
    with pytest.raises(UserError, match="not of ASE's"):
        AseDatabaseReader([path])
    assert path.read_bytes() == before


def test_a_bad_row_is_named(tmp_path):
    path = write_db(
        tmp_path / "a.db", [salt(), salt(energy=None, forces=None, stress=None), salt(2)]
    )
    first, error, last = records(path)
    assert str(error).startswith(f"{path}: id 2: no energy under the key 'energy'")
    assert_records([first, last], [salt(), salt(2)])


def test_sqlite_that_is_cut_off_or_empty(tmp_path):
    whole = write_db(tmp_path / "a.db", images_of(200)).read_bytes()
    for length in (len(whole) // 2, 3000):
        (tmp_path / "cut.db").write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"cut\.db: the database is .*damaged.*again"):
            records(tmp_path / "cut.db")
    with connect(tmp_path / "empty.db") as database:
        database.write(Atoms("H"))
    connect(tmp_path / "empty.db").delete([1])
    with pytest.raises(UserError, match=r"empty\.db: there are no structures"):
        records(tmp_path / "empty.db")


# --- LMDB ---------------------------------------------------------------------------------


@pytest.mark.parametrize("plain", [False, True], ids=["ase", "fairchem"])
def test_lmdb(tmp_path, plain):
    images = images_of(300)
    path = write_aselmdb(tmp_path / "a.aselmdb", images, plain=plain)
    chunks = list(AseDatabaseReader([path]).chunks())
    assert [len(chunk) for chunk in chunks] == [256, 44]
    read = records(path, *SALEX)
    assert_records(read, images)
    assert read[11].where == f"{path}: id 12"
    assert read[11].structure.group == "agm000000011"


def test_lmdb_that_its_own_package_wrote(tmp_path):
    """ase-db-backends is what ASE's documentation names; fairchem's writer is its origin."""
    pytest.importorskip("ase_db_backends", reason="the independent writer is not installed")
    images = images_of(20)
    path = tmp_path / "a.aselmdb"
    with connect(path, type="aselmdb", use_lock_file=False) as database:
        for index, atoms in enumerate(images):
            database.write(atoms, data={"sid": f"agm{index}_0_0"}, parent=f"p{index}")
    with connect(path, type="aselmdb", use_lock_file=False) as database:
        database.delete([3, 20])
    kept = [atoms for i, atoms in enumerate(images, 1) if i not in (3, 20)]
    read = records(path, *SALEX)
    assert_records(read, kept, 0)
    assert [r.structure.group for r in read][:3] == ["agm0", "agm1", "agm3"]
    assert records(path, LabelKeys(group="parent"))[0].structure.group == "p0"


def test_deleted_rows(tmp_path):
    images = images_of(6)
    path = write_aselmdb(tmp_path / "a.aselmdb", images, deleted=[1, 4])
    assert_records(records(path), [images[i] for i in (1, 2, 4, 5)])


def test_salex(tmp_path):
    """tar.gz of ``*.aselmdb`` files, beside them a table of sizes; no file is left behind."""
    members = {"train/metadata.npz": b"numbers of atoms"}
    images = images_of(12)
    for number in range(3):
        part = images[4 * number : 4 * number + 4]
        file = write_aselmdb(tmp_path / "rows", part, plain=True)
        members[f"train/data.{number:04d}.aselmdb"] = file.read_bytes()
        file.unlink()
    path = write_tar(tmp_path / "train.tar.gz", members)
    keys, units, options = SALEX
    options = {**options, "parts": {"train.tar.gz": "train", "val.tar.gz": "valid"}}
    read = records(path, keys, units, options)
    assert_records(read, images)
    assert {r.part for r in read} == {"train"}
    assert read[5].where == f"{path}: train/data.0001.aselmdb: id 2"
    assert read[5].structure.group == "agm000000001"


def test_temporary_files_are_gone_when_a_reading_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    file = write_aselmdb(tmp_path / "a.aselmdb", images_of(600))
    path = write_tar(tmp_path / "a.tar.gz", {"a.aselmdb": file.read_bytes()})
    chunks = AseDatabaseReader([path]).chunks()
    next(chunks)
    assert list(tmp_path.glob("irrepress-*"))
    chunks.close()
    assert not list(tmp_path.glob("irrepress-*"))


def test_chunks_outlive_the_files_they_come_from(tmp_path):
    file = write_aselmdb(tmp_path / "a.aselmdb", images_of(3))
    path = write_tar(tmp_path / "a.tar.gz", {"a.aselmdb": file.read_bytes()})
    reader = AseDatabaseReader([path])
    chunks = list(reader.chunks())
    path.unlink()
    assert_records([r for chunk in chunks for r in reader.parse(chunk)], images_of(3))


@pytest.mark.parametrize("plain", [False, True])
def test_real_frames(shared_data, tmp_path, plain):
    images = real_frames(shared_data, "foundation/alexandria-random")
    assert_records(records(write_db(tmp_path / "a.db", images)), images, 1e-12)
    path = write_aselmdb(tmp_path / "a.aselmdb", images, plain=plain)
    assert_records(records(path), images, 1e-12)


def test_isolated_atoms(tmp_path):
    path = tmp_path / "a.db"
    with connect(path) as database:
        database.write(labelled(Atoms("Na"), forces=None, stress=None), config_type="IsolatedAtom")
    (record,) = records(path)
    assert record.isolated_atom


# --- bad LMDB files -----------------------------------------------------------------------


def test_rows_that_are_damaged_or_missing(tmp_path):
    path = write_aselmdb(tmp_path / "a.aselmdb", images_of(5))
    with lmdb.open(str(path), subdir=False, map_size=1 << 28, lock=False) as environment:
        with environment.begin(write=True) as transaction:
            transaction.put(b"2", b"no zlib")
    read = records(path)
    assert str(read[1]).startswith(f"{path}: id 2 cannot be read (error")
    assert sum(isinstance(r, UserError) for r in read) == 1
    with lmdb.open(str(path), subdir=False, map_size=1 << 28, lock=False) as environment:
        with environment.begin(write=True) as transaction:
            transaction.delete(b"3")
    with pytest.raises(UserError, match="row 3 of 5 is missing; copy or download"):
        records(path)


def test_lmdb_that_is_cut_off(tmp_path):
    """Reading beyond the end of a mapped file would kill the process: so another one tries."""
    whole = write_aselmdb(tmp_path / "a.aselmdb", images_of(300)).read_bytes()
    lengths = [len(whole) - cut for cut in (100, 1000, 5000, 30_000)]
    paths = []
    for length in (*lengths, len(whole) // 2, 9000, 5000):
        paths.append(tmp_path / f"{length}.aselmdb")
        paths[-1].write_bytes(whole[:length])
    code = (
        "import sys; from pathlib import Path\n"
        "from irrepress.data.formats.ase_db import AseDatabaseReader\n"
        "from irrepress.core.errors import UserError\n"
        "for path in sys.argv[1:]:\n"
        "    try: print(len(list(AseDatabaseReader([Path(path)]).records())), 'rows')\n"
        "    except UserError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, paths)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for line, path in zip(done.stdout.splitlines(), paths, strict=True):
        assert line.startswith(f"{path}: "), line
        assert "cut off" in line and "download it again" in line


def test_other_files(tmp_path):
    path = tmp_path / "a.aselmdb"
    path.write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"expected an ASE database .*, but this is a web page"):
        AseDatabaseReader([path])
    tar = write_tar(tmp_path / "a.tar.gz", {"a.aselmdb": b"hello" * 100})
    with pytest.raises(UserError, match=r"a\.tar\.gz: a\.aselmdb: expected an LMDB file"):
        records(tar)
    tar = write_tar(tmp_path / "b.tar.gz", {"a.xyz": b"hello"})
    with pytest.raises(UserError, match=r"there are no \.aselmdb files in this archive"):
        records(tar)
    with pytest.raises(UserError, match=r"a\.aselmdb: there are no structures"):
        path.unlink()
        records(write_aselmdb(path, []))


@pytest.mark.parametrize("ahead", [1 << 20, 4096])
def test_an_archive_of_databases_that_is_cut_off(tmp_path, monkeypatch, ahead):
    """Within what is read ahead, and behind it."""
    monkeypatch.setattr(compression, "_BUFFER", ahead)
    file = write_aselmdb(tmp_path / "a.aselmdb", images_of(100))
    path = write_tar(tmp_path / "a.tar.gz", {"a.aselmdb": file.read_bytes()})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"a\.tar\.gz: .*cut off.*download it again") as caught:
        records(path)
    assert ("a.tar.gz: a.aselmdb: " in str(caught.value)) == (ahead == 4096)


def test_a_full_disk(tmp_path, monkeypatch):
    file = write_aselmdb(tmp_path / "a.aselmdb", images_of(3))
    path = write_tar(tmp_path / "a.tar.gz", {"a.aselmdb": file.read_bytes()})

    def copy(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", copy)
    with pytest.raises(UserError, match=r"a\.aselmdb: there is no space in .*set TMPDIR"):
        records(path)


# --- LMDB files of others, and hostile ones -----------------------------------------------


def write_lmdb(path, items):
    with lmdb.open(str(path), subdir=False, map_size=1 << 28, lock=False) as environment:
        with environment.begin(write=True) as transaction:
            for key, value in items.items():
                transaction.put(key, value)
    return path


def packed(value):
    return zlib.compress(json.dumps(value).encode())


class Payload:
    def __reduce__(self):
        return (open, ("unpickled", "w"))


@pytest.mark.parametrize("name", ["data.0000.lmdb", "a.aselmdb"])
def test_pickles_are_named_and_not_opened(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    items = {str(i).encode(): pickle.dumps(Payload(), protocol=4) for i in range(8)}
    items[b"length"] = pickle.dumps(8)
    path = write_lmdb(tmp_path / name, items)
    with pytest.raises(UserError, match=r"LMDB file of pickles.*runs the code in it.*as extxyz or"):
        list(make_reader("auto", [path]).records())
    assert not (tmp_path / "unpickled").exists()


def test_other_lmdb_files_are_named(tmp_path):
    path = write_lmdb(tmp_path / "a.lmdb", {b"image-1": b"jpeg"})
    with pytest.raises(UserError, match=r"not of ASE's .*a key is 'image-1'\); write"):
        list(make_reader("auto", [path]).records())
    with pytest.raises(UserError, match="there are no structures"):
        list(make_reader("auto", [write_lmdb(tmp_path / "b.lmdb", {})]).records())


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({b"nextid": packed(10**18)}, "row 1 of 9+ is missing"),
        ({b"nextid": packed({"a": 1})}, "cut off or damaged"),
        ({b"nextid": packed("many")}, "cut off or damaged"),
        ({b"nextid": b"no zlib"}, "cut off or damaged"),
        ({b"nextid": zlib.compress(b"[" * 100_000)}, "cut off or damaged"),
        ({b"nextid": packed(3), b"deleted_ids": packed([[1]])}, "cut off or damaged"),
        ({b"nextid": packed(3), b"deleted_ids": packed({"__ndarray__": 3})}, "cut off or damaged"),
        ({b"nextid": packed(2), b"1": b"no zlib"}, "id 1 cannot be read"),
        ({b"nextid": packed(2), b"1": zlib.compress(b"{}")[:-3]}, "id 1 cannot be read .* cut off"),
        ({b"nextid": packed(2), b"1": packed([1, 2])}, "id 1 cannot be read"),
        ({b"nextid": packed(2), b"1": packed({"numbers": "Na"})}, "id 1 cannot be read"),
        ({b"nextid": packed(2), b"1": zlib.compress(b"[" * 100_000)}, "id 1 cannot be read"),
        ({b"nextid": packed(2), b"1": zlib.compress(bytes(1 << 20))}, "row is larger than 65,536"),
    ],
)
def test_hostile_lmdb_files(tmp_path, monkeypatch, items, message):
    monkeypatch.setattr(ase_db, "_MOST_BYTES", 1 << 16)
    path = write_lmdb(tmp_path / "a.aselmdb", items)
    try:
        (error,) = make_reader("auto", [path]).records()
    except UserError as raised:
        error = raised
    assert str(error).startswith(str(path)) and re.search(message, str(error))


def test_damaged_pages_do_not_take_the_process_with_them(tmp_path):
    """Some of these make LMDB read where there is no memory; all end with a message or rows."""
    content = write_aselmdb(tmp_path / "a.aselmdb", images_of(20)).read_bytes()
    rng = random.Random(1)
    crashed = 0
    for number in range(60):
        damaged = bytearray(content)
        for _ in range(50):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        # Above all where pages say what is in them.
        for page in range(8192, len(damaged), 4096):
            damaged[page + rng.randrange(10, 60)] = rng.randrange(256)
        (tmp_path / f"{number}.aselmdb").write_bytes(damaged)
        try:
            list(AseDatabaseReader([tmp_path / f"{number}.aselmdb"]).records())
        except UserError as error:
            crashed += "crashed" in str(error)
    assert crashed


@pytest.mark.parametrize(
    "statements",
    [
        ["UPDATE systems SET numbers = x'00'"],
        ["UPDATE systems SET positions = 'text'"],
        ["UPDATE systems SET data = '{'"],
        ["UPDATE systems SET calculator = 1, energy = 'a'"],
        ["UPDATE systems SET key_value_pairs = '[1]'"],
        ["UPDATE systems SET cell = zeroblob(7)"],
        ["DROP TABLE information", "UPDATE systems SET pbc = 'x'"],
        ["UPDATE information SET value = '{' WHERE name = 'metadata'"],
        ["UPDATE information SET value = 'x' WHERE name = 'version'"],
    ],
)
def test_hostile_sqlite_files(tmp_path, statements):
    path = write_db(tmp_path / "a.db", [salt()])
    with connect(path) as database:
        database.metadata = {"title": "mine"}
    with closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()
    try:
        found = list(make_reader("auto", [path]).records())
    except UserError as error:
        found = [error]
    (error,) = found
    assert isinstance(error, UserError), error
    assert str(error).startswith(str(path)) and "\n" not in str(error)


def test_the_free_energy_of_rows_is_told_where_it_differs(tmp_path):
    row = {"numbers": [11], "positions": [[0, 0, 0]], "cell": [[4, 0, 0], [0, 4, 0], [0, 0, 4]]}
    row |= {"pbc": [True] * 3, "energy": -1.0, "free_energy": -1.5, "forces": [[0, 0, 0]]}
    items = {b"nextid": packed(2), b"deleted_ids": packed([]), b"1": packed(row)}
    write_lmdb(tmp_path / "a.aselmdb", items)
    (record,) = records(tmp_path / "a.aselmdb")
    assert "set keys.energy: free_energy to take that" in record.notes[0]
    (record,) = records(tmp_path / "a.aselmdb", LabelKeys(energy="free_energy"))
    assert record.structure.energy == -1.5


def test_metadata_on_units_that_are_not_read_are_told(tmp_path):
    database = connect(tmp_path / "a.db")
    database.write(images_of(1)[0])
    database.metadata = {"distance_unit": "Bohr"}
    reader = AseDatabaseReader([tmp_path / "a.db"])
    assert len(list(reader.records())) == 1
    assert reader.remarks[0].text.startswith("distance_unit of its metadata not read")
