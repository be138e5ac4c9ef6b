from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import units

from irrepress.core.labels import Labels
from irrepress.core.loss_weights import LossWeights
from irrepress.pruning.objectives import (
    component_weights,
    components,
    huber_loss,
    per_structure,
    squared_loss,
)

WEIGHTS = LossWeights(energy=2.0, forces=3.0, stress=0.5, huber_delta=0.01)


@pytest.fixture(scope="module")
def compared(small_sevennet_double, structures):
    batch = small_sevennet_double.batch(structures)
    prediction = small_sevennet_double.predict(batch)
    return prediction, batch, Labels.of(structures, torch.float64)


def huber(difference):
    small = np.abs(difference) < WEIGHTS.huber_delta
    linear = WEIGHTS.huber_delta * (np.abs(difference) - WEIGHTS.huber_delta / 2)
    return np.where(small, difference**2 / 2, linear)


def test_the_loss_of_a_structure_is_a_weighted_sum_of_means(compared, structures):
    prediction, batch, _ = compared
    near = [
        replace(s, energy=float(e) + 1e-3)
        for s, e in zip(structures, prediction.energy, strict=True)
    ]
    losses = huber_loss(prediction, batch, Labels.of(near, torch.float64), WEIGHTS)
    for i, structure in enumerate(near):
        forces = prediction.forces[batch.structure == i].numpy() - structure.forces
        expected = 2.0 * huber(1e-3 / len(structure)) + 3.0 * huber(forces).mean()
        if structure.pbc.all():
            stress = (prediction.stress[i].numpy() - structure.stress) / units.GPa
            expected += 0.5 * huber(stress).mean()
        assert float(losses[i]) == pytest.approx(expected, rel=1e-9)


def test_components_weigh_what_their_quantities_weigh_in_sum(compared):
    prediction, batch, labels = compared
    weights = component_weights(batch, labels, WEIGHTS)
    assert weights.shape == components(prediction, batch).shape
    sums = per_structure(weights, batch)
    # The molecule has no volume, and so no stress.
    torch.testing.assert_close(sums, torch.tensor([5.5, 5.5, 5.0], dtype=torch.float64))


def test_the_squared_loss_is_half_the_weighted_mean_square(compared, structures):
    prediction, batch, labels = compared
    losses = squared_loss(prediction, batch, labels, WEIGHTS)
    for i, structure in enumerate(structures):
        energy = (float(prediction.energy[i]) - structure.energy) / len(structure)
        forces = prediction.forces[batch.structure == i].numpy() - structure.forces
        expected = 2.0 * energy**2 + 3.0 * np.square(forces).mean()
        if structure.pbc.all():
            stress = (prediction.stress[i].numpy() - structure.stress) / units.GPa
            expected += 0.5 * np.square(stress).mean()
        assert float(losses[i]) == pytest.approx(expected / 2, rel=1e-9)


def test_predictions_stand_for_missing_labels(small_sevennet_double, structures):
    """The loss is 0, and its curvature is there."""
    model = small_sevennet_double
    bare = [replace(s, energy=np.nan, forces=np.full_like(s.forces, np.nan)) for s in structures]
    batch, labels = model.batch(bare[2:]), Labels.of(bare[2:], torch.float64)

    def loss(gate):
        with model.gated({"filter.1e": gate}):
            prediction = model.predict(batch, create_graph=True)
        return squared_loss(prediction, batch, labels, WEIGHTS).sum()

    gate = torch.ones(1, dtype=torch.float64, requires_grad=True)
    assert float(loss(gate)) == 0
    (gradient,) = torch.autograd.grad(loss(gate), gate, create_graph=True)
    assert float(gradient) == 0
    (curvature,) = torch.autograd.grad(gradient, gate)
    assert float(curvature) > 0
