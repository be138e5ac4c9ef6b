"""What reading notices and does is counted by kind, and kept to the report."""

import json
import logging
from dataclasses import replace

import h5py
import pytest

from irrepress.core.errors import UserError
from irrepress.data.config import Split
from irrepress.data.formats.base import Reader, Record, Remark
from irrepress.data.notes import Note, Notes, log_notes
from irrepress.data.reading import Reading, Source
from irrepress.data.store import StructureStore
from irrepress.data.summary.printing import notes_of
from irrepress.data.summary.scan import summarize
from irrepress.data.writing import write_store

ALL_TRAIN = Split(train=1, valid=0, test=0)


class Remarking(Reader):
    """Frames 0 to 4 of a file that make remarks, one of them bad."""

    structures: list

    def _check(self, path):
        """There is no file."""

    def chunks(self):
        yield [0, 1]
        yield [2, 3, 4]
        self.remarks.append(Remark("the file ends early", str(self.paths[0])))

    def parse(self, chunk):
        yield Remark("a file of old", str(self.paths[0]))
        for index in chunk:
            where = f"{self.paths[0]}: frame {index}"
            if index == 3:
                yield UserError(f"{where}: energy holds nan; correct it")
            else:
                notes = ("D taken as hydrogen",) if index else ()
                yield Record(self.structures[index % 3], where, notes=notes)


@pytest.fixture
def reading(structures):
    def make(**options):
        reader = Remarking(["a.xyz"])
        reader.structures = structures
        return Reading([Source(reader)], bad_frames="skip", **options)

    return make


EXPECTED = [
    Note("a file of old", 2, "a.xyz"),
    Note("D taken as hydrogen", 3, "a.xyz: frame 1"),
    Note("bad frame left out", 1, "a.xyz: frame 3: energy holds nan; correct it"),
    Note("the file ends early", 1, "a.xyz"),
]


@pytest.mark.parametrize("workers", [1, 2])
def test_remarks_are_counted_whoever_makes_them(reading, workers):
    read = reading(workers=workers)
    assert len(list(read)) == 4
    assert sorted(read.notes, key=str) == sorted(EXPECTED, key=str)


def test_notes_go_from_the_reading_to_the_store_and_its_summary(reading, info, tmp_path):
    read = reading()
    path = tmp_path / "a.h5"
    write_store(path, read, replace(info, notes=read.notes), ALL_TRAIN, seed=0)
    store = StructureStore(path)
    assert store.info.notes == tuple(EXPECTED)
    summary = summarize(store)
    assert list(notes_of(summary))[1] == ("D taken as hydrogen", "3", "a.xyz: frame 1")
    assert json.loads(summary.model_dump_json())["notes"][0]["count"] == 2


def test_stores_of_earlier_versions_have_no_notes(structures, info, tmp_path):
    path = tmp_path / "a.h5"
    write_store(path, structures, info, ALL_TRAIN, seed=0)
    with h5py.File(path, "a") as file:
        del file.attrs["notes"]
    store = StructureStore(path)
    assert store.info.notes == () and summarize(store).notes == []


def test_notes_are_logged_once_a_kind(caplog):
    notes = Notes()
    for index in range(1200):
        notes.add("virial taken", f"a.xyz: frame {index}")
    notes.add("cut off", "b.xyz")
    with caplog.at_level(logging.WARNING):
        log_notes(notes, logging.getLogger("any"))
    assert [record.getMessage() for record in caplog.records] == [
        "virial taken (1,200 times, first in a.xyz: frame 0)",
        "cut off (once, in b.xyz)",
    ]


def test_kinds_are_bounded():
    notes = Notes()
    for index in range(1000):
        notes.add(f"energy {index}", "a.xyz")
    assert len(notes) == 51
    assert sum(note.count for note in notes) == 1000
