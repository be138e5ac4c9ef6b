"""Copies are found, and nothing else is."""

from dataclasses import replace

import numpy as np
import pytest
from samples import random_structures

from irrepress.data.summary.blocks import blocks
from irrepress.data.summary.duplicates import find_duplicates, structure_keys


def duplicates(store):
    keys = np.concatenate([structure_keys(block) for block in blocks(store.iterate())])
    found = find_duplicates(store, keys, tolerance=1e-6)
    return sorted((d.index, d.original) for d in found)


def test_copies_are_found(make_store):
    structures = list(random_structures(30))
    structures += [structures[3], structures[20], structures[3]]
    assert duplicates(make_store(structures)) == [(30, 3), (31, 20), (32, 3)]


def test_copies_may_differ_by_round_off_and_in_their_labels(make_store):
    structures = list(random_structures(40, most=10))
    # A difference of 1e-9 Å crosses the limit of a step for one coordinate in 100,000.
    copies = [
        replace(s, positions=s.positions + 1e-9, cell=s.cell - 1e-9, energy=5.0) for s in structures
    ]
    assert duplicates(make_store(structures + copies)) == [(40 + i, i) for i in range(40)]


@pytest.mark.parametrize("field", ["positions", "cell"])
def test_what_is_close_is_no_copy(make_store, field):
    structures = [s for s in random_structures(20) if len(s) > 1]
    moved = [replace(s, **{field: getattr(s, field) + 5e-6}) for s in structures]
    assert duplicates(make_store(structures + moved)) == []


def test_other_elements_or_periodicity_are_no_copies(make_store):
    (structure,) = random_structures(1)
    others = [
        replace(structure, numbers=structure.numbers[::-1] + 1),
        replace(structure, pbc=~structure.pbc),
    ]
    assert duplicates(make_store([structure, *others])) == []


def test_round_coordinates_with_noise_are_found(make_store):
    # Multiples of a tenth of the step would lie at its limits if there were no offset.
    (structure,) = random_structures(1, most=30)
    grid = np.arange(3 * len(structure)).reshape(-1, 3) * 0.25
    noise = np.random.default_rng(0).uniform(-1e-8, 1e-8, grid.shape)
    structures = [replace(structure, positions=p) for p in (grid, grid + noise, grid - noise)]
    assert duplicates(make_store(structures)) == [(1, 0), (2, 0)]
