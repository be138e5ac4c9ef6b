"""Positions that are in two parts are found, whatever hides them; others are not."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell, molecule
from scipy.spatial.transform import Rotation

from irrepress.core.structure import Structure
from irrepress.data.config import Files
from irrepress.data.layout import StoreInfo
from irrepress.data.leaks import find_leaks, sorted_distances
from irrepress.data.reading import read_files
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store

TOLERANCE = 0.01  # Å
INFO = StoreInfo("", "", "", "", "", "")


def leaks_of(path, train, valid=(), test=()):
    parts = {"train": train, "valid": valid, "test": test}
    ends = np.cumsum([len(part) for part in parts.values()])
    split = {
        part: range(end - len(parts[part]), end) for part, end in zip(parts, ends, strict=True)
    }
    write_store(path, [*train, *valid, *test], INFO, split, seed=0)
    return list(find_leaks(StructureStore(path), TOLERANCE))


def crystal(seed=0, move=0.1):
    atoms = bulk("NaCl", "rocksalt", 5.64, cubic=True)
    atoms.rattle(move, seed=seed)
    return atoms


def structure(atoms):
    return Structure.unlabelled(atoms)


def moved_as_a_whole(atoms):
    atoms.rotate(77, (1, 2, 3), rotate_cell=True)
    atoms.translate((0.3, 5.0, -9.0))
    atoms.wrap()


def renumbered(atoms):
    order = np.random.default_rng(0).permutation(len(atoms))
    atoms.set_positions(atoms.positions[order])
    atoms.set_atomic_numbers(atoms.numbers[order])


def mirrored(atoms):
    atoms.set_cell(-np.array(atoms.cell))
    atoms.set_positions(-atoms.positions)


def in_another_cell(atoms):
    other = make_supercell(atoms, [[1, 1, 0], [0, 1, 0], [0, 0, 1]])
    atoms.set_cell(other.cell)
    atoms.set_positions(other.positions)
    atoms.set_atomic_numbers(other.numbers)


def moved_a_little(atoms):
    step = np.random.default_rng(1).normal(size=(len(atoms), 3))
    step *= TOLERANCE / np.linalg.norm(step, axis=1, keepdims=True)
    atoms.set_positions(atoms.positions + step)


@pytest.mark.parametrize(
    "hide",
    [lambda atoms: None, moved_as_a_whole, renumbered, mirrored, in_another_cell, moved_a_little],
)
def test_the_same_positions_are_found_in_disguise(tmp_path, hide):
    train = [structure(crystal(seed)) for seed in range(20)]
    test = [structure(crystal(seed)) for seed in range(20, 30)]
    copy = crystal(7)
    hide(copy)
    found = leaks_of(tmp_path / "a.h5", train, test=[*test, structure(copy)])
    assert [(leak.index, leak.part, leak.other, leak.other_part) for leak in found] == [
        (30, "test", 7, "train")
    ]
    assert found[0].difference <= 2 * TOLERANCE


def test_parts_are_compared_in_pairs_and_not_within(tmp_path):
    frames = [structure(crystal(seed)) for seed in range(6)]
    found = leaks_of(
        tmp_path / "a.h5",
        train=[frames[0], frames[0], frames[1]],
        valid=[frames[2], frames[1]],
        test=[frames[3], frames[3], frames[2]],
    )
    assert [(leak.index, leak.part, leak.other, leak.other_part) for leak in found] == [
        (4, "valid", 2, "train"),
        (7, "test", 3, "valid"),
    ]


def test_other_compositions_and_open_cells_are_others(tmp_path):
    first = crystal()
    other = crystal()
    other.numbers[other.numbers == 11] = 19
    open_cell = crystal()
    open_cell.pbc = False
    assert not leaks_of(tmp_path / "a.h5", [structure(first)], test=[structure(other)])
    assert not leaks_of(tmp_path / "b.h5", [structure(first)], test=[structure(open_cell)])


def test_molecules_single_atoms_and_thin_cells(tmp_path):
    ethanol = molecule("CH3CH2OH")
    turned = ethanol.copy()
    turned.set_positions(Rotation.random(random_state=0).apply(turned.positions) + 3)
    stretched = ethanol.copy()
    stretched.positions[0] += (0.1, 0, 0)
    iron, wider = bulk("Fe"), bulk("Fe", a=2.95)
    train = [structure(a) for a in (ethanol, iron, Atoms("H"))]
    test = [structure(a) for a in (stretched, turned, wider, bulk("Fe"), Atoms("H"))]
    found = leaks_of(tmp_path / "a.h5", train, test=test)
    assert {(leak.index, leak.other) for leak in found} == {(4, 0), (6, 1), (7, 2)}
    assert len(sorted_distances(structure(Atoms("H")))) == 0
    assert sorted_distances(structure(iron)) == pytest.approx([2.485] * 4 + [2.87] * 2, abs=0.01)


def test_no_leak_between_the_official_parts_of_rmd17(tmp_path, shared_data):
    def read(part):
        path = shared_data / f"rmd17/ethanol-{part}.extxyz.xz"
        return list(read_files(Files(source="files", paths=[str(path)], limit=200)))

    train, test = read("train"), read("test")
    assert not leaks_of(tmp_path / "a.h5", train, test=test)
    copies = [replace(s, positions=s.positions[:, ::-1]) for s in train[50:60]]
    found = leaks_of(tmp_path / "b.h5", train, test=[*test, *copies])
    assert [(leak.index, leak.other) for leak in found] == [(400 + i, 50 + i) for i in range(10)]
