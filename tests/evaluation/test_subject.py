"""What models are checked on where datasets offer no structure that has forces."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from irrepress.core.structure import Structure
from irrepress.data.config import Split
from irrepress.data.layout import StoreInfo
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store
from irrepress.evaluation.checks import Checks
from irrepress.evaluation.metrics import measure_symmetry
from irrepress.evaluation.subject import ENOUGH, choose_subject

INFO = StoreInfo("test", "MIT", "", "none", "none", "0")
ALL_TEST = Split(train=0, valid=0, test=1, by="structure")


@pytest.fixture(scope="module")
def model(sevennet_0_double):
    """SevenNet-0 in float64: a narrowed one that nobody trained has hardly any forces."""
    return sevennet_0_double


def store_of(folder, frames) -> StructureStore:
    path = folder / "frames.h5"
    write_store(path, [Structure.unlabelled(atoms) for atoms in frames], INFO, ALL_TEST, seed=0)
    return StructureStore(path)


def volumes(atoms: Atoms) -> list[Atoms]:
    """As for an equation of state: no atom of a perfect crystal feels a force."""
    return [
        Atoms(
            atoms.numbers,
            scaled_positions=atoms.get_scaled_positions(),
            cell=s * atoms.cell,
            pbc=True,
        )
        for s in (0.97, 1.0, 1.03)
    ]


def rattled(atoms: Atoms) -> Atoms:
    atoms = atoms.copy()
    atoms.rattle(0.1, seed=3)
    return atoms


OFFERED = {
    "rattled crystals": [
        *volumes(bulk("Si")),
        rattled(bulk("NaCl", "rocksalt", a=5.64, cubic=True)),
    ],
    "perfect crystals": volumes(bulk("Si")),
    "cells of one atom": volumes(bulk("Fe")),
    "lone atoms": [Atoms("O"), Atoms("C")],
    "atoms far from each other": [Atoms("OO", positions=[[0, 0, 0], [20, 0, 0]])],
    "an atom in a large box": [Atoms("O", cell=[30, 30, 30], pbc=True)],
    "a wire of one atom": [Atoms("Fe", cell=[0, 0, 2.5], pbc=[False, False, True])],
}


@pytest.mark.parametrize("name", OFFERED)
def test_there_is_always_something_to_check(sevennet, model, tmp_path, name):
    store = store_of(tmp_path, OFFERED[name])
    structure, record = choose_subject(model, store, seed=1)
    assert len(structure) == record.atoms > 1
    assert record.edges > 0 and record.largest_force >= ENOUGH
    assert bool(record.changes) == (name != "rattled crystals")
    again, _ = choose_subject(model, store, seed=1)
    assert np.array_equal(again.positions, structure.positions)
    if name == "rattled crystals":
        assert record.source == "structure 3 of frames (test split)" and record.formula == "Cl4Na4"
    if name == "cells of one atom":
        checks = Checks.model_validate(
            measure_symmetry(sevennet, "7net-0", store, modal=None, seed=1)
        )
        assert checks.failures() == []
        assert checks.own.code.startswith("sevenn ")


@pytest.mark.parametrize("name", ["cells-of-one-atom/eos1", "cells-without-forces/eos2"])
def test_files_as_people_have_them(model, shared_data, tmp_path, name):
    frames = ase.io.read(shared_data / "reports" / f"{name}.extxyz", ":")
    store = store_of(tmp_path, frames)
    _, record = choose_subject(model, store)
    assert record.edges > 0 and record.largest_force >= ENOUGH
    assert "moved by 0.1 Å" in record.changes
