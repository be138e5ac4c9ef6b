"""A small labelled data set and a training that takes seconds."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk, molecule

from irrepress.core.plan import Plan
from irrepress.core.structure import Structure
from irrepress.data.config import Split
from irrepress.data.layout import StoreInfo
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store
from irrepress.evaluation.predictions import label
from irrepress.training.config import Training
from irrepress.training.trainer import train

INFO = StoreInfo(
    source="test",
    licence="MIT",
    citation="",
    level_of_theory="PBE",
    labels="SevenNet-0",
    checksum="0",
    reference_energies={},
)


@pytest.fixture(scope="session")
def labelled(sevennet_0) -> list[Structure]:
    """Rattled silicon and water, labelled by the whole SevenNet-0."""
    structures = []
    for seed in range(12):
        atoms = molecule("H2O") if seed % 3 == 2 else bulk("Si")
        atoms.rattle(0.05, seed=seed)
        structures.append(Structure.unlabelled(atoms, group=str(seed)))
    return list(label(sevennet_0, structures))


@pytest.fixture(scope="session")
def make_store(tmp_path_factory):
    """Return a function that writes structures to a store: half to train on, half to test."""

    def make(structures, *, train=0.5, valid=0.5) -> StructureStore:
        path = tmp_path_factory.mktemp("stores") / "data.h5"
        split = Split(train=train, valid=valid, test=1 - train - valid, by="structure")
        write_store(path, structures, INFO, split, seed=0)
        return StructureStore(path)

    return make


@pytest.fixture(scope="session")
def store(make_store, labelled) -> StructureStore:
    return make_store(labelled)


@pytest.fixture(scope="session")
def teacher(make_store, labelled) -> StructureStore:
    """The same structures with the labels of a teacher that says otherwise."""
    moved = [replace(s, energy=s.energy + len(s), forces=0.5 * s.forces) for s in labelled]
    return make_store(moved)


@pytest.fixture(scope="session")
def cut_sevennet(sevennet_0):
    """SevenNet-0 without order 2, for tests that must see a model learn.

    What is left of `small_sevennet` is so little that it takes hundreds of steps to learn.
    """
    groups = sevennet_0.groups()
    return sevennet_0.narrow(Plan.identity(groups).cut_order(groups, above=1))


@pytest.fixture
def settings() -> Training:
    return Training(
        steps=6, batch_size=3, validate_every=2, learning_rate=2e-3, ema=0.9, precision="64"
    )


@pytest.fixture
def run(small_sevennet, store, settings, tmp_path):
    """Return a function that trains the small model; keywords replace what is usual."""

    def run(**changes):
        arguments = {
            "model": small_sevennet,
            "store": store,
            "settings": settings,
            "seed": 0,
            "device": "cpu",
            "work_dir": tmp_path / "work",
            "metrics_csv": tmp_path / "training.csv",
        } | changes
        return train(**arguments)

    return run


@pytest.fixture(scope="session")
def same_weights():
    """Return a function that says whether two models are equal to the last bit."""

    def same(first, second) -> bool:
        states = first.state_dict(), second.state_dict()
        return all(np.array_equal(states[0][name], states[1][name]) for name in states[0])

    return same
