"""Energies that are off by a constant per element come back."""

import copy

import pytest
import torch
from ase.build import bulk

from irrepress.core.fits import Pair
from irrepress.core.structure import Structure
from irrepress.pruning.energy_shifts import AtomicDifferences, fit_shifts

OFF = {11: 0.5, 14: -0.25, 17: 1.5}


@pytest.fixture(scope="module")
def model(small_sevennet_double):
    return small_sevennet_double


@pytest.fixture(scope="module")
def batches(model):
    """Silicon and salt, rattled: two batches of two."""
    made = []
    for index in range(4):
        atoms = bulk("NaCl", "rocksalt", a=5.64) if index % 2 else bulk("Si")
        atoms.rattle(0.1, seed=index)
        made.append(Structure.unlabelled(atoms))
    batches = [model.batch(made[:2]), model.batch(made[2:])]
    return [Pair(batch, batch) for batch in batches]


def test_constants_are_found(model, batches):
    off = copy.deepcopy(model)
    off.shift_energies(OFF)
    shifts, before, after = fit_shifts(model, off, batches[:1], batches[1:])
    assert set(shifts) == set(model.elements)
    assert {z: shifts[z] for z in OFF} == pytest.approx({z: -e for z, e in OFF.items()})
    # Silicon is off by 0.25 eV/atom, salt by 1.
    assert before == pytest.approx((0.25 + 1) / 2)
    assert after < 1e-9
    # Unseen elements get the mean over atoms: two of silicon, two of salt a batch.
    assert shifts[29] == pytest.approx(-(-0.25 * 2 + 0.5 + 1.5) / 4)

    off.shift_energies(shifts)
    for batch in (pair.parent for pair in batches):
        energies = [each.predict(batch).energy for each in (model, off)]
        torch.testing.assert_close(energies[0], energies[1], rtol=0, atol=1e-9)


def test_equal_models_get_no_shifts(model, batches):
    assert fit_shifts(model, model, batches[:1], batches[1:]) == ({}, 0, 0)


def test_shifts_that_do_not_hold_elsewhere_are_not_made(model, batches):
    """The held-out structures are off in the other direction."""
    up, down = copy.deepcopy(model), copy.deepcopy(model)
    up.shift_energies(OFF)
    down.shift_energies({z: -e for z, e in OFF.items()})

    class Both:
        """Off one way on the first batch and the other way on the second."""

        elements = up.elements

        def atomic_energies(self, batch):
            return (up if batch is batches[0].narrowed else down).atomic_energies(batch)

    assert fit_shifts(model, Both(), batches[:1], batches[1:])[0] == {}


def test_means_are_drawn_together():
    differences = AtomicDifferences()
    differences.sums = {1: torch.tensor([6.0, 6.0]).numpy(), 8: torch.tensor([6.0, 2.0]).numpy()}
    assert differences.shifts([1, 8], 0) == {1: 1.0, 8: 3.0}
    assert differences.shifts([1, 8, 6], float("inf")) == {1: 1.5, 8: 1.5, 6: 1.5}
    assert differences.shifts([1, 8], 2)[8] == pytest.approx(1.5 + 0.5 * 1.5)
