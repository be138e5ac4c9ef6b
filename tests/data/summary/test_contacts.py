"""Contacts agree with those of ASE's neighbour list, in every kind of cell."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from irrepress.core.structure import Structure
from irrepress.data.summary.blocks import Block
from irrepress.data.summary.contacts import close_contacts


def random_structure(rng, size=None):
    """Atoms thrown into a skewed cell, thin or thick, periodic along some of its vectors."""
    size = size or int(rng.integers(1, 12))
    cell = np.diag(rng.uniform(1.0, 6.0, 3)) + np.triu(rng.normal(scale=1.5, size=(3, 3)), k=1)
    numbers = rng.choice([1, 6, 8, 26, 55], size)
    atoms = Atoms(
        numbers, cell=cell[rng.permutation(3)] if size > 1 else cell, pbc=rng.random(3) < 0.7
    )
    atoms.positions = rng.uniform(-2, 2, (size, 3)) @ atoms.cell.array
    return Structure.unlabelled(atoms)


def closest_share(structure):
    """The least distance relative to the covalent radii, by ASE's neighbour list; inf if none."""
    atoms = structure.to_atoms()
    first, second, distances = neighbor_list("ijd", atoms, 1.5 * covalent_radii[atoms.numbers])
    if not len(distances):
        return np.inf
    radii = covalent_radii[structure.numbers]
    return float((distances / (radii[first] + radii[second])).min())


def test_agrees_with_a_neighbour_list():
    rng = np.random.default_rng(1)
    structures = [random_structure(rng) for _ in range(150)]
    found = {c.index: c for c in close_contacts(Block.of(structures, 7), 0.5)}
    expected = {7 + i: closest_share(s) for i, s in enumerate(structures)}
    assert set(found) == {index for index, share in expected.items() if share < 0.5}
    assert 20 < len(found) < 140  # there are both kinds
    for index, contact in found.items():
        assert contact.share == pytest.approx(expected[index])
        radii = covalent_radii[structures[index - 7].numbers[[contact.first, contact.second]]]
        assert contact.distance == pytest.approx(contact.share * radii.sum())


def test_an_atom_close_to_its_own_image():
    crystal = Structure.unlabelled(Atoms("Cs", cell=[1.2, 9, 9], pbc=True))
    (contact,) = close_contacts(Block.of([crystal], 0), 0.5)
    assert (contact.first, contact.second) == (0, 0)
    assert contact.distance == pytest.approx(1.2)


def test_cells_without_volume_are_left_to_others():
    flat = Structure.unlabelled(Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.1]]))
    flat = replace(flat, cell=np.ones((3, 3)), pbc=np.ones(3, dtype=bool))
    assert list(close_contacts(Block.of([flat], 0), 0.5)) == []
    # Without periodicity the cell means nothing.
    molecule = replace(flat, pbc=np.zeros(3, dtype=bool))
    assert [c.index for c in close_contacts(Block.of([molecule], 0), 0.5)] == [0]
