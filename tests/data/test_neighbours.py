import os
import signal

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from irrepress.core.errors import UserError
from irrepress.core.neighbours import neighbour_list
from irrepress.core.structure import Structure
from irrepress.data import neighbours
from irrepress.data.config import Split
from irrepress.data.geometry import cell_heights
from irrepress.data.neighbours import count_edges
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store

SHAPES = ("orthogonal", "skewed", "any", "open vectors are zero", "no cell")


@st.composite
def any_atoms(draw) -> Atoms:
    """One to six atoms, in and outside of cells of every shape, mostly smaller than the cutoff."""
    shape = draw(st.sampled_from(SHAPES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pbc = np.array(draw(st.tuples(*[st.booleans()] * 3)))
    cell = np.diag(rng.uniform(1.5, 7, 3))
    if shape == "skewed":
        cell[np.tril_indices(3, -1)] = rng.uniform(-8, 8, 3)
    elif shape == "any":  # left-handed ones too
        cell = rng.normal(size=(3, 3)) * rng.uniform(1, 6)
    elif shape == "open vectors are zero":
        cell += rng.normal(size=(3, 3)) * 0.5
        cell[~pbc] = 0
    elif shape == "no cell":
        cell[:], pbc[:] = 0, False
    count = draw(st.integers(1, 6))
    spread = draw(st.sampled_from([1.0, 4.0, 15.0]))
    atoms = Atoms(np.ones(count), rng.uniform(-1, 2, (count, 3)) * spread, cell=cell, pbc=pbc)
    # What the readers let through; thousands of images make ASE slow.
    assume(not pbc.any() or cell_heights(atoms.cell.complete().array)[pbc].min() > 0.8)
    return atoms


def edges_of(index, shifts):
    """Edges in an order that does not depend on who found them."""
    return sorted(np.concatenate([index, shifts.T]).T.tolist())


@settings(deadline=None, max_examples=150)
@given(atoms=any_atoms(), cutoff=st.sampled_from([2.0, 5.0]))
def test_lists_agree_with_those_of_ase(atoms, cutoff):
    found = neighbour_list(Structure.unlabelled(atoms), cutoff)
    first, second, shifts = neighbor_list("ijS", atoms, cutoff)
    assert edges_of(found.index, found.shifts) == edges_of([first, second], shifts)
    assert np.all(np.diff(found.index[0]) >= 0)
    first, second = found.index
    expected = atoms.positions[second] - atoms.positions[first] + found.shifts @ atoms.cell.array
    assert np.allclose(found.vectors, expected, atol=1e-10)


def test_an_atom_alone_has_no_neighbours():
    found = neighbour_list(Structure.unlabelled(Atoms("H", [[0, 0, 0]])), 5.0)
    assert len(found) == 0
    assert found.index.shape == (2, 0) and found.vectors.shape == (0, 3)


def test_positions_and_cells_may_differ_in_type():
    atoms = Atoms("H", [[0, 0, 0]], cell=np.eye(3) * 2, pbc=True)
    structure = Structure.unlabelled(atoms)
    structure = Structure(**{**vars(structure), "positions": structure.positions.astype("f4")})
    assert len(neighbour_list(structure, 2.1)) == 6


@pytest.fixture
def store(tmp_path, info):
    rng = np.random.default_rng(0)
    structures = []
    for count in rng.integers(1, 9, size=23):
        positions = rng.uniform(0, 6, (count, 3))
        atoms = Atoms(np.ones(count), positions, cell=np.eye(3) * 6, pbc=rng.random(3) < 0.5)
        structures.append(Structure.unlabelled(atoms))
    path = tmp_path / "data.h5"
    write_store(path, structures, info, Split(train=0.8, valid=0.1, test=0.1), seed=0)
    return StructureStore(path)


@pytest.mark.parametrize("workers", [0, 2])
def test_edges_are_counted_in_the_order_asked_for(store, workers, monkeypatch):
    monkeypatch.setattr(neighbours, "_STRUCTURES_PER_TASK", 5)
    indices = np.array([22, 3, 4, 5, 6, 0, 17, 8])
    counts = count_edges(store, indices, 5.0, workers)
    assert counts.dtype == np.int32
    assert counts.tolist() == [len(neighbour_list(s, 5.0)) for s in store.read(indices)]
    assert len(set(counts.tolist())) > 4


def test_nothing_to_count(store):
    assert count_edges(store, np.array([], dtype=np.int64), 5.0, workers=2).tolist() == []


def test_a_counting_process_that_is_killed_is_told(store, monkeypatch):
    monkeypatch.setattr(neighbours, "_STRUCTURES_PER_TASK", 5)
    monkeypatch.setattr(neighbours, "_count", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(UserError, match="processes was killed"):
        count_edges(store, np.arange(23), 5.0, workers=2)


def test_a_damaged_store_is_told_by_the_counting_processes(store, monkeypatch):
    monkeypatch.setattr(neighbours, "_STRUCTURES_PER_TASK", 5)
    store.close()
    store.path.write_bytes(store.path.read_bytes()[:4000])
    with pytest.raises(UserError, match=r"data\.h5: damaged"):
        count_edges(store, np.arange(23), 5.0, workers=2)
