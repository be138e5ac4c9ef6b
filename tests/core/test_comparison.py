from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule

from irrepress.core.comparison import difference, huber_loss
from irrepress.core.labels import Labels
from irrepress.core.model import Prediction
from irrepress.core.structure import Structure


@pytest.fixture
def compared():
    """A crystal with all labels and a molecule with none, and a prediction of ones."""
    silicon = replace(
        Structure.unlabelled(bulk("Si")),
        energy=-4.0,
        forces=np.zeros((2, 3)),
        stress=np.zeros(6),
    )
    structures = [silicon, Structure.unlabelled(molecule("H2O"))]
    forces, stress = torch.ones(5, 3), torch.full((2, 6), torch.inf)
    stress[0] = 1.0
    prediction = Prediction(torch.ones(2), forces, stress)
    return prediction, Labels.of(structures, torch.float64), torch.tensor([2, 3])


@pytest.mark.parametrize(
    ("quantity", "labelled"), [("energy", 2.5), ("forces", 1.0), ("stress", 160.2176634)]
)
def test_differences_are_per_atom_and_in_gpa_and_zero_without_a_label(compared, quantity, labelled):
    found = difference(quantity, *compared)
    assert found.dtype == torch.float64
    rows = {"energy": 1, "forces": 2, "stress": 1}[quantity]
    assert found[:rows].numpy() == pytest.approx(labelled, rel=1e-6)
    assert (found[rows:] == 0).all()


def test_huber_loss_turns_from_quadratic_to_linear():
    losses = huber_loss(torch.tensor([-0.05, 0.3]), 0.1)
    assert losses.tolist() == pytest.approx([0.05**2 / 2, 0.1 * (0.3 - 0.05)], rel=1e-6)
