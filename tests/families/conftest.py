"""Fixtures for the tests of families."""

import pytest
from ase.build import bulk, fcc111

from irrepress.core.structure import Structure


@pytest.fixture(scope="session")
def many(structures):
    """Besides a crystal, a salt and a molecule: images of one atom alone, a slab, a wire."""
    slab = fcc111("Al", (2, 2, 2), vacuum=4.0)
    slab.positions += [11.0, -7.0, 3.0]  # outside its cell
    wire = slab.copy()
    wire.pbc = [False, True, False]
    return [*structures, *(Structure.unlabelled(atoms) for atoms in (bulk("Al"), slab, wire))]
