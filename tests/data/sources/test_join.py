"""Joined datasets hold the structures of all, in their splits, with labels of one kind."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from irrepress.core.errors import UserError
from irrepress.core.structure import Structure
from irrepress.data.config import Counts
from irrepress.data.layout import StoreInfo
from irrepress.data.notes import Note
from irrepress.data.sources.config import Joined
from irrepress.data.sources.join import Joining
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store

CONFIG = Joined(source="joined", of=["one", "other"])
SPLITS = {"train": [0, 1, 3], "valid": [4], "test": [5]}  # 2 is in no split


@pytest.fixture
def make(tmp_path):
    def make(name: str, element: str, labels: str = "PBE", **info: object) -> StructureStore:
        structures = []
        for i in range(6):
            structure = Structure.unlabelled(bulk(element, "fcc", a=4 + 0.1 * i), group=name)
            structures.append(replace(structure, energy=-float(i), forces=np.zeros((1, 3))))
        origin = StoreInfo(name, "MIT", "", level_of_theory="PBE", labels=labels, checksum=name)
        origin = replace(origin, **info)
        write_store(tmp_path / f"{name}.h5", structures, origin, SPLITS, seed=0)
        return StructureStore(tmp_path / f"{name}.h5")

    return make


def test_structures_stay_in_their_splits(make, tmp_path):
    note = Note("D taken as hydrogen", 2, "a.xyz: frame 0")
    stores = [make("one", "Cu", notes=(note,)), make("other", "Al", notes=(note,), licence="CC0")]
    joining = Joining(stores, CONFIG)
    assert str(joining) == (
        "10 structures of 2 datasets (6 train, 2 valid, 2 test); 2 are in no split and left out"
    )
    for name in ("a.h5", "b.h5"):
        write_store(tmp_path / name, joining, joining.info(), joining.splits, seed=0)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    joined = StructureStore(tmp_path / "a.h5")
    for part, members in SPLITS.items():
        found = [joined[int(i)] for i in joined.splits[part]]
        expected = [store[i] for store in stores for i in members]
        for one, own in zip(found, expected, strict=True):
            assert (one.energy, one.group) == (own.energy, own.group)
            assert np.array_equal(one.numbers, own.numbers) and np.array_equal(one.cell, own.cell)
    assert joined.elements == [13, 29] and joined.info.labels == "PBE"
    assert joined.info.licence == "MIT; CC0"
    assert [(each.text, each.count) for each in joined.info.notes] == [(note.text, 4)]


def test_counts_draw_from_all(make):
    stores = [make("one", "Cu"), make("other", "Al")]
    limited = CONFIG.model_copy(update={"counts": Counts(train=4), "seed": 1})
    joining = Joining(stores, limited)
    assert {part: len(found) for part, found in joining.splits.items()} == {
        **{"train": 4, "valid": 2, "test": 2}
    }
    assert [s.cell.tolist() for s in joining] == [s.cell.tolist() for s in Joining(stores, limited)]


def test_reference_energies_are_kept_where_they_agree(make):
    first = make("one", "Cu", reference_energies={29: -1.0})
    second = make("other", "Al", reference_energies={13: -2.0})
    assert Joining([first, second], CONFIG).info().reference_energies == {29: -1.0, 13: -2.0}
    third = make("third", "Cu", reference_energies={29: -1.5})
    assert Joining([first, third], CONFIG).info().reference_energies == {}


def test_labels_are_not_mixed(make):
    stores = [make("one", "Cu"), make("other", "Al", labels="sevennet 7net-0")]
    with pytest.raises(UserError, match=r"other\.h5 has labels of sevennet 7net-0, but .* of PBE"):
        Joining(stores, CONFIG)
