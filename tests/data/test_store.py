"""The store gives back what went in, to any process, and is whole or absent."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from samples import assert_same, random_structures

from irrepress.core.errors import UserError
from irrepress.core.files import sha256
from irrepress.core.structure import Structure
from irrepress.data.config import Counts, Split
from irrepress.data.layout import SCHEMA_VERSION, StoreInfo
from irrepress.data.splits import OfficialParts
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store

HELPERS = Path(__file__).parents[1] / "helpers"  # where other processes find samples.py
HALVES = Split(train=0.5, valid=0.25, test=0.25)


@pytest.fixture(scope="module")
def structures():
    return list(random_structures(600))


@pytest.fixture(scope="module")
def path(tmp_path_factory, structures):
    path = tmp_path_factory.mktemp("store") / "random.h5"
    info = StoreInfo("random numbers", "CC0", "nobody", "PBE", "PBE", "ab12")
    write_store(path, structures, info, HALVES, seed=3)
    return path


# --- what goes in comes out ---------------------------------------------------------------


def test_round_trip_is_exact_across_buffers_and_chunks(path, structures):
    store = StructureStore(path)
    assert len(store) == len(structures)
    assert store.num_atoms.tolist() == [len(s) for s in structures]
    assert store.num_atoms.sum() > 8192  # more than one buffer, several chunks
    for written, read in zip(structures, store.iterate(), strict=True):
        assert_same(written, read)


def finite_floats(shape):
    elements = st.floats(-1e100, 1e100, width=64)
    return arrays.arrays(np.float64, shape, elements=elements)


def any_floats(shape):
    return arrays.arrays(np.float64, shape, elements=st.floats(width=64))


@st.composite
def ragged_structures(draw):
    size = draw(st.integers(1, 4))
    return Structure(
        numbers=draw(arrays.arrays(np.int64, size, elements=st.integers(1, 118))),
        positions=draw(finite_floats((size, 3))),
        cell=draw(finite_floats((3, 3))),
        pbc=draw(arrays.arrays(np.bool_, 3)),
        energy=draw(st.floats(width=64, allow_infinity=False, max_value=1e9, min_value=-1e9)),
        forces=draw(any_floats((size, 3))),
        stress=draw(any_floats(6)),
        group=draw(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))),
    )


@settings(max_examples=20, deadline=None)
@given(content=st.lists(ragged_structures(), min_size=1, max_size=6), data=st.data())
def test_any_ragged_content_survives(tmp_path_factory, content, data):
    path = tmp_path_factory.mktemp("ragged") / "any.h5"
    info = StoreInfo("", "", "", "", "", "", {1: -13.6})
    write_store(path, content, info, Split(train=1, valid=0, test=0, by="structure"), seed=0)
    indices = data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8))
    for index, read in zip(indices, StructureStore(path).read(indices), strict=True):
        assert_same(content[index], read)


def test_random_access_equals_sequential_in_any_order_with_repeats(path, structures):
    store = StructureStore(path)
    indices = np.random.default_rng(0).integers(-600, 600, 200)
    for index, read in zip(indices, store.read(indices), strict=True):
        assert_same(structures[index], read)
    assert_same(structures[17], store[17])
    assert store.read([]) == []
    with pytest.raises(IndexError, match="600 structures"):
        store[600]


def test_a_batch_reads_neighbours_at_once(path, monkeypatch):
    store = StructureStore(path)
    runs = []
    original = store._read_run
    monkeypatch.setattr(
        store, "_read_run", lambda run, groups: runs.append(run) or original(run, groups)
    )
    store.read([3, 599, 1, 2])
    assert [run.tolist() for run in runs] == [[1, 2, 3], [599]]


def test_attributes_tell_units_origin_and_version(path, structures):
    store = StructureStore(path)
    assert store.info.licence == "CC0"
    assert store.info.checksum == "ab12"
    assert store.elements == sorted({int(z) for s in structures for z in s.numbers})
    assert store.labelled == {"energy": 600, "forces": 600, "stress": 400}
    with h5py.File(path) as file:
        units = {name: file[name].attrs["unit"] for name in ("positions", "energy", "forces")}
        assert units == {"positions": "Å", "energy": "eV", "forces": "eV/Å"}
        assert file["stress"].attrs["unit"] == "eV/Å^3"
        assert file["positions"].compression == "gzip"
        assert int(file.attrs["schema_version"]) == SCHEMA_VERSION


def test_splits_cover_everything_once_and_can_be_given(path, structures, tmp_path, info):
    store = StructureStore(path)
    assert sorted(np.concatenate(list(store.splits.values()))) == list(range(600))
    groups = [{structures[i].group for i in part} for part in store.splits.values()]
    assert not groups[0] & groups[1] and not groups[1] & groups[2] and not groups[0] & groups[2]
    relabelled = (replace(s, energy=0.0) for s in store.iterate())
    write_store(tmp_path / "teacher.h5", relabelled, info, store.splits, seed=99)
    teacher = StructureStore(tmp_path / "teacher.h5")
    for part, indices in store.splits.items():
        assert np.array_equal(teacher.splits[part], indices)
    with pytest.raises(ValueError, match="two splits"):
        write_store(tmp_path / "a.h5", structures, info, {"train": [0, 1], "test": [1]}, 0)


# --- reference energies -------------------------------------------------------------------


def salts(count, energies, noise=0.0, seed=0):
    """Structures of Na, Cl and O whose energies are sums over their atoms."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        numbers = rng.choice(list(energies), size=rng.integers(1, 9))
        atoms = Structure(
            numbers=numbers,
            positions=np.zeros((len(numbers), 3)),
            cell=np.zeros((3, 3)),
            pbc=np.zeros(3, dtype=bool),
            energy=sum(energies[z] for z in numbers.tolist()) + noise * rng.normal(),
            forces=np.zeros((len(numbers), 3)),
            stress=np.full(6, np.nan),
        )
        # The energies of a later part must not matter.
        yield atoms if index < count // 2 else replace(atoms, energy=1e5)


def test_reference_energies_are_fitted_to_the_train_part(tmp_path, info):
    energies = {8: -2041.8, 11: -4416.1, 17: -12519.3}
    count = 4000
    splits = {"train": range(count // 2), "test": range(count // 2, count)}
    write_store(tmp_path / "a.h5", salts(count, energies), info, splits, seed=0)
    fitted = StructureStore(tmp_path / "a.h5").info.reference_energies
    assert fitted == pytest.approx(energies, rel=1e-9)


def test_given_reference_energies_stay(tmp_path, info, structures):
    given_energies = {z: -float(z) for z in range(1, 93)}
    info = replace(info, reference_energies=given_energies)
    write_store(tmp_path / "a.h5", structures, info, HALVES, seed=0)
    assert StructureStore(tmp_path / "a.h5").info.reference_energies == given_energies


def test_reference_energies_that_lack_an_element_are_fitted(tmp_path, info, caplog):
    energies = {8: -2041.8, 11: -4416.1, 17: -12519.3}
    info = replace(info, reference_energies={8: -1.0, 17: -2.0})
    splits = {"train": range(2000), "test": range(2000, 4000)}
    write_store(tmp_path / "a.h5", salts(4000, energies), info, splits, seed=0)
    fitted = StructureStore(tmp_path / "a.h5").info.reference_energies
    assert fitted == pytest.approx(energies, rel=1e-9)
    assert "no isolated-atom energy for Na;" in caplog.text


def test_siblings_that_follow_each_other_share_a_row(path, structures):
    with h5py.File(path) as file:
        assert len(file["groups"]) == 120
        assert np.array_equal(file["group"], np.arange(600) // 5)
    store = StructureStore(path)
    assert [s.group for s in store.read([599, 0, 7])] == [structures[i].group for i in (599, 0, 7)]
    assert {s.group for s in store.read([599, 0, 7], groups=False)} == {""}


def test_official_parts_that_are_filled_meanwhile(tmp_path, info, structures):
    official = OfficialParts()

    def read():
        for index, structure in enumerate(structures):
            official.add(index, "test" if index % 5 == 2 else None)
            yield structure

    counts = Counts(valid=7)
    split = Split(by="structure")
    write_store(tmp_path / "a.h5", read(), info, split, 0, official, counts)
    splits = StructureStore(tmp_path / "a.h5").splits
    assert splits["test"].tolist() == list(range(2, 600, 5))
    assert len(splits["valid"]) == 7
    assert len(splits["train"]) == 480 - 7


def test_a_fixed_composition_shares_its_energy_evenly(tmp_path, info):
    water = next(salts(2, {1: 0.0}))
    water = replace(
        water,
        numbers=np.array([8, 1, 1]),
        positions=np.eye(3),
        forces=np.zeros((3, 3)),
        energy=-2080.0,
    )
    write_store(tmp_path / "a.h5", [water] * 9, info, Split(by="structure"), seed=0)
    fitted = StructureStore(tmp_path / "a.h5").info.reference_energies
    assert fitted == pytest.approx({8: -1040.0, 1: -520.0})


def test_without_energies_there_are_no_references(tmp_path, info, structures):
    bare = (replace(s, energy=float("nan")) for s in structures)
    write_store(tmp_path / "a.h5", bare, info, HALVES, seed=0)
    store = StructureStore(tmp_path / "a.h5")
    assert store.info.reference_energies == {}
    assert store.labelled["energy"] == 0


# --- several processes --------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_of_a_data_loader_read_what_the_parent_reads(path, structures, method):
    from torch.utils.data import DataLoader

    store = StructureStore(path)
    assert_same(structures[0], store[0])  # the parent's handle is open before the fork
    loader = DataLoader(
        store,
        batch_size=64,
        num_workers=2,
        collate_fn=list,
        multiprocessing_context=multiprocessing.get_context(method),
    )
    read = [structure for batch in loader for structure in batch]
    for written, structure in zip(structures, read, strict=True):
        assert_same(written, structure)
    assert_same(structures[5], store[5])


def test_pickle_carries_no_handle(path, structures):
    store = StructureStore(path)
    copy = pickle.loads(pickle.dumps(store))
    store.close()
    assert_same(structures[7], copy[7])
    assert_same(structures[7], store[7])


# --- whole or absent ----------------------------------------------------------------------

WRITE_SLOWLY = """
import sys
from irrepress.data.config import Split
from irrepress.data.layout import StoreInfo
from irrepress.data.writing import write_store
from samples import random_structures

def tell():
    for index, structure in enumerate(random_structures(3000)):
        if index == 2000:
            print("half way", flush=True)
            if sys.argv[2] == "wait":
                sys.stdin.read()
        yield structure

write_store(sys.argv[1], tell(), StoreInfo("", "", "", "", "", ""), Split(), seed=1)
"""


def run_writer(path, *mode, **kwargs):
    command = [sys.executable, "-c", WRITE_SLOWLY, str(path), *mode]
    return subprocess.Popen(command, cwd=HELPERS, stdout=subprocess.PIPE, text=True, **kwargs)


def test_killed_half_way_leaves_nothing_and_the_next_try_gives_the_same_bytes(tmp_path):
    undisturbed, killed = tmp_path / "undisturbed.h5", tmp_path / "killed.h5"
    assert run_writer(undisturbed, "go").wait(60) == 0

    process = run_writer(killed, "wait", stdin=subprocess.PIPE)
    assert process.stdout.readline() == "half way\n"
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    assert not killed.exists()
    leftovers = [p for p in tmp_path.iterdir() if p != undisturbed]
    assert leftovers  # it was killed while it wrote
    for leftover in leftovers:
        with pytest.raises(UserError):
            StructureStore(leftover)

    assert run_writer(killed, "go").wait(60) == 0
    assert {p.name for p in tmp_path.iterdir()} == {"undisturbed.h5", "killed.h5"}
    assert len(StructureStore(killed)) == 3000
    assert sha256(killed) == sha256(undisturbed)


def test_a_source_that_fails_leaves_the_old_store_alone(tmp_path, info, structures):
    path = tmp_path / "a.h5"
    write_store(path, structures, info, HALVES, seed=0)
    before = sha256(path)

    def failing():
        yield from structures[:500]
        raise UserError("frame 500: NaN")

    with pytest.raises(UserError, match="frame 500"):
        write_store(path, failing(), info, HALVES, seed=0)
    assert sha256(path) == before
    assert os.listdir(tmp_path) == ["a.h5"]


FULL_DISK = """
import resource, sys
from irrepress.data.config import Split
from irrepress.core.errors import UserError
from irrepress.data.layout import StoreInfo
from irrepress.data.writing import write_store
from samples import random_structures

resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    write_store(sys.argv[1], random_structures(3000), StoreInfo(*[""] * 6), Split(), seed=1)
except UserError as error:
    print(error)
"""


def test_a_full_disk_is_one_message_and_leaves_nothing(tmp_path):
    """A limit on the file's size fails a write as a full disk does."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "full.h5")],
        cwd=HELPERS,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "full.h5: writing failed" in done.stdout
    assert "No space left" in done.stdout or "File too large" in done.stdout
    assert done.stderr == ""
    assert os.listdir(tmp_path) == []


MEASURE = """
import copy, itertools, resource, sys
from irrepress.data.config import Split
from irrepress.data.splits import OfficialParts
from irrepress.data.layout import SCHEMA_VERSION, StoreInfo
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store
from samples import random_structures

def many(count):
    for structure in itertools.islice(itertools.cycle(list(random_structures(500))), count):
        yield copy.deepcopy(structure)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

info = StoreInfo("", "", "", "", "", "")
write_store(sys.argv[1], many(1000), info, Split(), seed=1)
before = peak()
write_store(sys.argv[1], many(20000), info, Split(), seed=1)
for structure in StructureStore(sys.argv[1]).iterate():
    pass
print(peak() - before)
"""


def test_memory_does_not_grow_with_the_dataset(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "large.h5")],
        cwd=HELPERS,
        capture_output=True,
        text=True,
        check=True,
    )
    store = StructureStore(tmp_path / "large.h5")
    content = store.num_atoms.sum() * 49 / 2**20  # MiB of positions, forces and numbers
    grown = float(done.stdout)
    assert len(store) == 20000
    assert grown < 0.5 * content < 10


# --- bad stores ---------------------------------------------------------------------------


def test_no_structures(tmp_path, info):
    with pytest.raises(UserError, match=r"empty\.h5: there are no structures"):
        write_store(tmp_path / "empty.h5", [], info, HALVES, seed=0)
    assert os.listdir(tmp_path) == []


def test_arrays_that_do_not_fit_are_refused(tmp_path, info, structures):
    bad = replace(structures[0], forces=np.zeros((99, 3)))
    with pytest.raises(ValueError, match="forces of shape"):
        write_store(tmp_path / "a.h5", [bad], info, HALVES, seed=0)


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.99])
def test_truncated(tmp_path, path, kept):
    content = path.read_bytes()
    cut = tmp_path / "cut.h5"
    cut.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(UserError, match=r"cut\.h5: damaged .* make it again"):
        StructureStore(cut)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"none\.h5: there is no such store"):
        StructureStore(tmp_path / "none.h5")


def test_foreign_files(tmp_path):
    text = tmp_path / "text.h5"
    text.write_text("2\n\nH 0 0 0\nH 0 0 1\n")
    with pytest.raises(UserError, match=r"text\.h5: damaged"):
        StructureStore(text)
    foreign = tmp_path / "foreign.h5"
    with h5py.File(foreign, "w") as file:
        file["energy"] = [1.0]
    with pytest.raises(UserError, match=r"foreign\.h5: an HDF5 file, but not a store"):
        StructureStore(foreign)


def edited(path, tmp_path, edit):
    copy = tmp_path / "edited.h5"
    copy.write_bytes(path.read_bytes())
    with h5py.File(copy, "a") as file:
        edit(file)
    return copy


def test_another_schema_version(path, tmp_path):
    copy = edited(path, tmp_path, lambda f: f.attrs.__setitem__("schema_version", 99))
    with pytest.raises(
        UserError, match=f"schema version 99, this irrepress reads {SCHEMA_VERSION}"
    ):
        StructureStore(copy)


@pytest.mark.parametrize(
    "edit",
    [
        lambda file: file.__delitem__("forces"),
        lambda file: file.__delitem__("splits/test"),
        lambda file: file["forces"].resize(5, axis=0),
        lambda file: file["energy"].resize(5, axis=0),
        lambda file: file.attrs.__delitem__("licence"),
    ],
)
def test_missing_parts(path, tmp_path, edit):
    with pytest.raises(UserError, match="its content is incomplete or inconsistent"):
        StructureStore(edited(path, tmp_path, edit))


def change(name, index, value):
    def edit(file):
        file[name][index] = value

    return edit


def replace_train(indices):
    def edit(file):
        del file["splits/train"]
        file["splits/train"] = np.array(indices)

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (replace_train([0, 600]), "an index exceeds the 600 structures"),
        (replace_train([-1]), "an index exceeds the 600 structures"),
        (replace_train([3, 3]), "a structure is in two splits"),
        (lambda file: replace_train([file["splits/test"][0]])(file), "is in two splits"),
        (change("ptr", 5, 1), "ptr does not ascend from 0"),
        (change("ptr", 0, 1), "ptr does not ascend from 0"),
        (
            lambda file: file.attrs.__setitem__("elements", np.array([1, 255])),
            r"elements are \[1, 2",
        ),
    ],
)
def test_what_cannot_be_is_refused_when_a_store_is_opened(path, tmp_path, edit, message):
    with pytest.raises(UserError, match=rf"edited\.h5: damaged .*{message}.*make it again"):
        StructureStore(edited(path, tmp_path, edit))


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("numbers", 255, "an atomic number"),
        ("numbers", 0, "an atomic number"),
        ("positions", np.nan, "a position"),
        ("positions", np.inf, "a position"),
        ("cell", np.nan, "a cell"),
    ],
)
def test_atoms_that_cannot_be_are_refused_when_they_are_read(path, tmp_path, name, value, what):
    with h5py.File(path) as file:
        row = 17 if name == "cell" else int(file["ptr"][17])
    store = StructureStore(edited(path, tmp_path, change(name, row, value)))
    store.read([0, 400])  # what lies elsewhere can be read
    for read in (lambda: store[17], lambda: list(store.iterate())):
        with pytest.raises(UserError, match=rf"damaged .*structure 17 has {what} that is invalid"):
            read()


def test_a_flipped_bit_is_found_when_it_is_read(path, tmp_path):
    with h5py.File(path) as file:
        place = file["forces"].id.get_chunk_info(0).byte_offset + 100
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    (tmp_path / "flipped.h5").write_bytes(content)
    store = StructureStore(tmp_path / "flipped.h5")
    with pytest.raises(UserError, match=r"flipped\.h5: damaged"):
        store.read([0])


def test_empty_parts_and_missing_labels(path, tmp_path, info, structures):
    store = StructureStore(path)
    assert np.array_equal(store.require("train", ["energy", "forces"]), store.splits["train"])
    with pytest.raises(UserError, match="200 of 600 structures have no stress"):
        store.require("train", ["stress"])
    with pytest.raises(UserError, match="the exam split is empty"):
        store.require("exam")
    write_store(tmp_path / "a.h5", structures, info, Split(train=0.5, valid=0.5, test=0), 0)
    with pytest.raises(UserError, match="the test split is empty"):
        StructureStore(tmp_path / "a.h5").require("test")


@pytest.mark.parametrize("name", ["train.extxyz", "train.txt", "folder"])
def test_files_of_the_user_are_never_to_be_deleted(tmp_path, name):
    path = tmp_path / name
    path.mkdir() if name == "folder" else path.write_text("2\nProperties=species:S:1:pos:R:3\n")
    with pytest.raises(UserError, match="not a store of structures") as caught:
        StructureStore(path)
    assert "delete" not in str(caught.value)
