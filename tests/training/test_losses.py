from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from irrepress.core.labels import Labels
from irrepress.core.loss_weights import LossWeights
from irrepress.core.model import Prediction
from irrepress.core.structure import Structure
from irrepress.training.losses import Comparison, compare

DELTA = 0.1


@pytest.fixture
def crystal():
    """Two atoms: energy -4, forces 0, stress 0."""
    return replace(
        Structure.unlabelled(bulk("Si")),
        energy=-4.0,
        forces=np.zeros((2, 3)),
        stress=np.zeros(6),
    )


@pytest.fixture
def atom():
    """One atom without a cell and without a label, though its stress reads 1."""
    return replace(Structure.unlabelled(Atoms("H")), stress=np.ones(6))


def predict(energy, forces, stress):
    tensors = (
        torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (energy, forces, stress)
    )
    return Prediction(*tensors)


def compare_with(structures, prediction):
    labels = Labels.of(structures, torch.float64)
    num_atoms = torch.tensor([len(s) for s in structures])
    return compare(prediction, labels, num_atoms, DELTA)


def test_values_by_hand(crystal):
    forces = np.zeros((2, 3))
    forces[0] = 0.05, -0.3, 0  # one component below delta, one above
    stress = np.zeros(6)
    stress[5] = 0.01
    comparison = compare_with([crystal], predict([-3.6], forces, stress[None]))

    # energy: 0.2 eV/atom; stress: 0.01 eV/Å^3 is 1.6021766 GPa
    energy_loss = 0.2 - DELTA / 2
    forces_loss = (0.5 * 0.05**2 / DELTA + 0.3 - DELTA / 2) / 6
    stress_loss = (1.602176634 - DELTA / 2) / 6
    weights = LossWeights(energy=1, forces=2, stress=0.5, huber_delta=DELTA)
    expected = energy_loss + 2 * forces_loss + 0.5 * stress_loss
    assert comparison.loss(weights).item() == pytest.approx(expected, rel=1e-7)
    assert comparison.mean_absolute() == pytest.approx(
        {"energy": 0.2, "forces": 0.35 / 6, "stress": 0.01 / 6}
    )


def test_large_forces_make_errors_count_relative_to_them(crystal, atom):
    forces = np.array([[3.0, 0, 4.0], [0, 0.5, 0]])  # of 5 and 0.5 eV/Å
    labelled = replace(crystal, energy=-4.0, forces=forces, stress=np.zeros(6))
    labels = Labels.of([labelled, atom], torch.float64)
    off = torch.tensor([[0.0, 0.3, 0], [0.2, 0, 0], [0, 0, 0]], dtype=torch.float64)
    prediction = predict([-3.6, 0.0], np.nan_to_num(labels.forces) + off.numpy(), np.zeros((2, 6)))
    weights = LossWeights(energy=1, forces=1, stress=0, huber_delta=DELTA)
    alike, relative = (
        compare(prediction, labels, torch.tensor([2, 1]), DELTA, large) for large in (None, 1.0)
    )
    assert relative.mean_absolute() == alike.mean_absolute()  # errors are told as they are
    energy, atoms = 0.2 - DELTA / 2, [0.3 - DELTA / 2, 0.2 - DELTA / 2]
    assert alike.loss(weights).item() == pytest.approx(energy + sum(atoms) / 6)
    assert relative.loss(weights).item() == pytest.approx(
        energy / 5 + (atoms[0] / 5 + atoms[1]) / 6
    )
    huge = compare(prediction, labels, torch.tensor([2, 1]), DELTA, 100.0)
    assert huge.loss(weights).item() == alike.loss(weights).item()


def test_missing_labels_take_no_part_and_send_no_gradient(crystal, atom):
    # What is said of the unlabelled structure is absurd, and infinite for its stress.
    forces = np.full((3, 3), 7.0)
    stress = np.full((2, 6), np.inf)
    stress[0] = 0.001
    prediction = predict([-3.0, 50.0], forces, stress)
    comparison = compare_with([crystal, atom], prediction)
    assert comparison.counts == {"energy": 1, "forces": 6, "stress": 6}
    assert comparison.mean_absolute() == pytest.approx(
        {"energy": 0.5, "forces": 7.0, "stress": 0.001}
    )

    comparison.loss(LossWeights(stress=1.0)).backward()
    for tensor in (prediction.energy, prediction.forces, prediction.stress):
        assert torch.isfinite(tensor.grad).all()
    assert prediction.energy.grad[0] > 0
    assert prediction.energy.grad[1] == 0
    assert (prediction.forces.grad[2] == 0).all()
    assert (prediction.stress.grad[1] == 0).all()


def test_single_missing_components_are_masked(crystal):
    forces = crystal.forces.copy()
    forces[1, 2] = np.nan
    comparison = compare_with(
        [replace(crystal, forces=forces)], predict([-4.0], np.ones((2, 3)), np.zeros((1, 6)))
    )
    assert comparison.counts["forces"] == 5
    assert comparison.mean_absolute()["forces"] == pytest.approx(1.0)


def test_stress_of_a_partly_periodic_cell_does_not_count(crystal):
    slab = replace(crystal, pbc=np.array([True, True, False]))
    assert Labels.of([slab], torch.float64).counts["stress"] == 0


def test_nothing_labelled(atom):
    comparison = compare_with([atom], predict([1.0], np.ones((1, 3)), np.ones((1, 6))))
    assert comparison.loss(LossWeights()) is None
    assert all(np.isnan(value) for value in comparison.mean_absolute().values())


def test_labels_without_weight_are_no_loss(crystal):
    comparison = compare_with([crystal], predict([1.0], np.ones((2, 3)), np.ones((1, 6))))
    assert comparison.loss(LossWeights(energy=0, forces=0, stress=0)) is None


def test_sums_of_batches_equal_one_batch(crystal, atom):
    rng = np.random.default_rng(0)
    structures = [crystal, atom, replace(crystal, stress=np.full(6, np.nan))]
    energy, stress = rng.normal(size=3), rng.normal(size=(3, 6))
    forces = [rng.normal(size=(len(s), 3)) for s in structures]
    whole = compare_with(structures, predict(energy, np.concatenate(forces), stress))
    parts = Comparison.empty()
    for i, structure in enumerate(structures):
        part = compare_with([structure], predict(energy[[i]], forces[i], stress[[i]]))
        parts = parts + part
    assert parts.counts == whole.counts
    assert parts.mean_absolute() == pytest.approx(whole.mean_absolute())
    weights = LossWeights(stress=1.0)
    assert parts.loss(weights).item() == pytest.approx(whole.loss(weights).item())


def test_rare_labels_weigh_by_their_mean_and_not_by_their_number(crystal):
    """Forces on one crystal of three: their mean over this one, not over zeros of the others."""
    bare = replace(crystal, forces=np.full((2, 3), np.nan), stress=np.full(6, np.nan))
    forces, stress = np.full((6, 3), 0.4), np.zeros((3, 6))
    prediction = predict([-4.0] * 3, forces, stress)
    weights = LossWeights(energy=1, forces=2, stress=0, huber_delta=DELTA)
    some = compare_with([crystal, bare, bare], prediction).loss(weights)
    everywhere = compare_with([crystal] * 3, prediction).loss(weights)
    assert some.item() == pytest.approx(everywhere.item()) == pytest.approx(2 * (0.4 - DELTA / 2))
    # Without forces in a batch the energies weigh as ever.
    none = compare_with([bare] * 3, predict([-3.0] * 3, forces, stress)).loss(weights)
    assert none.item() == pytest.approx(0.5 - DELTA / 2)
