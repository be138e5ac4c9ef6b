"""Small stores, written from structures at hand."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk, molecule
from faultless import labelled

from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store


@pytest.fixture
def make_store(tmp_path, info):
    """Return a function that writes structures to a store and opens it."""

    def make(structures, splits=None, **changes):
        structures = list(structures)
        splits = {"train": np.arange(len(structures))} if splits is None else splits
        path = tmp_path / "data.h5"
        write_store(path, structures, replace(info, **changes), splits, seed=0)
        return StructureStore(path)

    return make


@pytest.fixture
def good():
    """Forty structures that nothing is wrong with: silicon, salt, copper and ethanol."""
    kinds = [
        bulk("Si", cubic=True),
        bulk("NaCl", "rocksalt", a=5.64),
        bulk("Cu"),
        molecule("CH3CH2OH"),
    ]
    return [
        labelled(kinds[i % 4], seed=i, stress=i % 4 != 3, group=f"parent {i // 4}")
        for i in range(40)
    ]
