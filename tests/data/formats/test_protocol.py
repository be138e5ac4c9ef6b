"""What every reader keeps to: `convert` relies on it."""

import multiprocessing
import pickle

import numpy as np
import pytest
from format_samples import (
    assert_records,
    extxyz_bytes,
    members_of,
    salt,
    water,
    write_aselmdb,
    write_db,
    write_deepmd,
    write_mace_hdf5,
    write_mptrj_json,
    write_rmd17,
    write_tar,
    write_zip,
)

from irrepress.data.formats import base
from irrepress.data.formats.base import CHUNK_BYTES, Reader, Record
from irrepress.data.formats.registry import READERS, guess_format, make_reader

COUNT = 40  # in chunks of 15, for the sake of time
SALTS = [salt(i) for i in range(COUNT)]
WATERS = [water(i) for i in range(COUNT)]


def extxyz(folder):
    path = folder / "a.xyz"
    path.write_bytes(extxyz_bytes(SALTS))
    return path, SALTS, {}


def extxyz_archive(folder):
    members = {f"{i}.extxyz": extxyz_bytes(SALTS[i : i + 3]) for i in range(0, COUNT, 3)}
    return write_zip(folder / "a.zip", members), SALTS, {}


def ase(folder):
    import ase.io

    ase.io.write(folder / "a.traj", SALTS)
    return folder / "a.traj", SALTS, {}


def ase_db(folder):
    return write_db(folder / "a.db", SALTS), SALTS, {}


def aselmdb(folder):
    return write_aselmdb(folder / "a.aselmdb", SALTS), SALTS, {}


def salex(folder):
    files = [write_aselmdb(folder / f"{i}.aselmdb", SALTS[i::2]) for i in range(2)]
    path = write_tar(folder / "a.tar.gz", {file.name: file.read_bytes() for file in files})
    return path, SALTS[::2] + SALTS[1::2], {}


def mace_hdf5(folder):
    return write_mace_hdf5(folder / "a.h5", SALTS), SALTS, {}


def mptrj_json(folder):
    materials = {f"mp-{i}": SALTS[i : i + 20] for i in range(0, COUNT, 20)}
    return write_mptrj_json(folder / "a.json", materials), SALTS, {}


def rmd17(folder):
    options = {"molecule": "ethanol"}
    return write_rmd17(folder / "a.tar.bz2", WATERS, [0], [1]), WATERS, options


def deepmd(folder):
    write_deepmd(folder / "data/a", SALTS)
    return folder / "data", SALTS, {}


def deepmd_archive(folder):
    write_deepmd(folder / "data/a", SALTS)
    return write_tar(folder / "a.tar.gz", members_of(folder / "data")), SALTS, {}


FORMATS = {
    extxyz: "extxyz",
    extxyz_archive: "extxyz-archive",
    ase: "ase",
    ase_db: "ase-db",
    aselmdb: "ase-db",
    salex: "ase-db",
    mace_hdf5: "mace-hdf5",
    mptrj_json: "mptrj-json",
    rmd17: "rmd17",
    deepmd: "deepmd",
    deepmd_archive: "deepmd",
}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(base, "CHUNK_FRAMES", 15)


@pytest.fixture(scope="module", params=FORMATS, ids=lambda write: write.__name__)
def source(request, tmp_path_factory):
    """Path, what is in it, options and the format's name."""
    return *request.param(tmp_path_factory.mktemp("source")), FORMATS[request.param]


@pytest.fixture(scope="module")
def reader(source) -> Reader:
    path, _, options, name = source
    return make_reader(name, [path], options=options)


def test_every_reader_is_tested():
    assert set(FORMATS.values()) == set(READERS)


def test_the_format_is_seen(source):
    path, _, _, name = source
    assert guess_format(path) == name


def test_all_frames_in_the_order_of_the_source(source, reader):
    assert_records(reader.records(), source[1], 1e-6)


def test_chunks_are_bounded_and_can_be_pickled(reader):
    chunks = list(reader.chunks())
    assert len(chunks) > 2
    for chunk in chunks:
        assert len(list(reader.parse(chunk))) <= 15
        assert len(pickle.dumps(chunk)) < 2 * CHUNK_BYTES


def test_parsing_depends_on_the_chunk_alone(reader):
    """In any order, repeatedly, by a reader that was pickled, from a chunk that was pickled."""
    twin = pickle.loads(pickle.dumps(reader))
    chunks = list(reader.chunks())
    first = [list(reader.parse(chunk)) for chunk in chunks]
    for chunk, records in reversed(list(zip(chunks, first, strict=True))):
        again = list(twin.parse(pickle.loads(pickle.dumps(chunk))))
        assert [r.where for r in again] == [r.where for r in records]
        for one, other in zip(again, records, strict=True):
            assert np.array_equal(one.structure.forces, other.structure.forces)
            assert one.structure.group == other.structure.group
            assert one.part == other.part


def test_parsing_in_other_processes_while_chunks_come(source, reader):
    """Forked in the middle of the reading, as `parallel.ordered_map` does."""
    chunks = reader.chunks()
    first = next(chunks)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        parsed = pool.map(_parse, [(reader, chunk) for chunk in (first, *chunks)])
    assert_records([record for records in parsed for record in records], source[1], 1e-6)


def _parse(task):
    reader, chunk = task
    return list(reader.parse(chunk))


def test_chunks_can_be_read_again(reader):
    assert sum(1 for _ in reader.chunks()) == sum(1 for _ in reader.chunks())


def test_what_a_record_says(source, reader):
    path = source[0]
    for record in reader.records():
        assert isinstance(record, Record)
        assert record.where.startswith(f"{path}: ")
        structure = record.structure
        assert structure.numbers.dtype == np.int64
        for name, shape in [("positions", (2, 3)), ("cell", (3, 3)), ("stress", (6,))]:
            value = getattr(structure, name)
            assert value.dtype == np.float64
            assert value.shape == (shape if shape[0] != 2 else (len(structure), 3))
            assert value.flags.writeable
        assert structure.pbc.dtype == bool and structure.pbc.shape == (3,)
        assert isinstance(structure.energy, float) and isinstance(structure.group, str)
        assert not record.isolated_atom


def test_parts_by_the_name_of_the_file(source):
    path, _, options, name = source
    parts = {path.name: "valid"}
    read = make_reader(name, [path], options={**options, "parts": parts})
    parts = {record.part for record in read.records()}
    # What the source itself says of single frames counts more.
    assert parts == ({"valid", "train", "test"} if name == "rmd17" else {"valid"})
