"""What training and quantization need of a model."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from ase import Atoms

from irrepress.core.errors import UserError
from irrepress.core.family import Family
from irrepress.core.model import Model, Prediction
from irrepress.core.parameter_roles import ParameterRole
from irrepress.core.structure import Structure
from irrepress.testing.comparisons import assert_close, tensor_of
from irrepress.testing.fixtures import FamilyFixtures
from irrepress.training.config import DISPLACEMENT, Distillation
from irrepress.training.targets import Targets


class TrainingTests(FamilyFixtures):
    """Tests of gradients, new weights, energy shifts, elements and matrices."""

    def test_weights_have_gradients_of_force_losses(
        self, narrowed: Model, structures: list[Structure]
    ) -> None:
        model = copy.deepcopy(narrowed)
        prediction = model.predict(model.batch(structures), create_graph=True)
        loss = prediction.forces.square().sum() + prediction.energy.square().sum()
        loss.backward()
        trainable = [p for p in model.parameters() if p.requires_grad]
        assert trainable and all(p.grad is not None and p.grad.isfinite().all() for p in trainable)

    def test_predictions_for_losses_have_the_derivatives_of_others(
        self, narrowed: Model, structures: list[Structure]
    ) -> None:
        """Whatever code a family has for them: of energies, forces, stress and atomic energies."""
        model = copy.deepcopy(narrowed)
        number = int(structures[0].numbers[0])
        alone = Structure.unlabelled(Atoms([number], positions=[[0, 0, 0]]))
        batch = model.batch([*structures, alone])  # an atom without neighbours among them
        periodic = list(range(len(structures)))
        expected = model.predict(batch, create_graph=True)
        found = model.predict_for_loss(batch)
        assert_close(found, expected, 1e-10, periodic=periodic)
        parameters = [p for p in model.parameters() if p.requires_grad]
        torch.manual_seed(0)
        weights = torch.randn(len(_outputs(expected, periodic)), dtype=torch.float64)
        gradients = [
            torch.autograd.grad(
                (weights * _outputs(each, periodic)).sum(), parameters, allow_unused=True
            )
            for each in (found, expected)
        ]
        largest = max(float(each.abs().max()) for each in gradients[1] if each is not None)
        for mine, other in zip(*gradients, strict=True):
            assert (mine is None) == (other is None)
            if other is not None:
                assert (mine - other).abs().max() <= 1e-8 * other.abs().max() + 1e-10 * largest

    def test_further_targets_of_a_distillation(
        self, narrowed: Model, structures: list[Structure]
    ) -> None:
        """Atomic energies and changes of forces give every family's weights a gradient."""
        model = copy.deepcopy(narrowed)
        batch = model.batch(structures)
        displaced = [replace(s, positions=s.positions + DISPLACEMENT) for s in structures]
        displaced[0] = replace(displaced[0], positions=structures[0].positions * 1.01)
        settings = Distillation(atomic_energies=1.0, hessian_rows=1)
        prediction = model.predict(batch, create_graph=True)
        assert prediction.atomic_energies is not None
        targets = Targets(
            prediction.atomic_energies.detach() + 1, model.batch(displaced), prediction.forces * 0
        )
        loss = targets.loss(model, prediction, prediction.forces.detach(), settings)
        loss.backward()
        trainable = [p for p in model.parameters() if p.requires_grad]
        assert float(loss) > 0.5
        assert all(p.grad is None or p.grad.isfinite().all() for p in trainable)
        assert any(p.grad is not None and p.grad.abs().max() > 0 for p in trainable)

    def test_fresh_weights(self, narrowed: Model, structures: list[Structure]) -> None:
        first, again, other = (narrowed.fresh(seed) for seed in (1, 1, 2))
        assert first.shape() == narrowed.shape()
        assert first.dtype == narrowed.dtype
        batch = narrowed.batch(structures)
        predictions = [model.predict(batch).energy for model in (first, again, other)]
        assert torch.equal(predictions[0], predictions[1])
        assert not torch.allclose(predictions[0], predictions[2])
        assert not torch.allclose(predictions[0], narrowed.predict(batch).energy)

    def test_fresh_weights_leave_reference_energies(
        self, narrowed: Model, structures: list[Structure]
    ) -> None:
        model = copy.deepcopy(narrowed)
        shifts = {14: 1.5, 11: -2.0, 1: 0.25}
        model.shift_energies(shifts)
        batch = narrowed.batch(structures)
        before, after = (each.fresh(1).predict(batch) for each in (narrowed, model))
        expected = [sum(shifts.get(int(z), 0.0) for z in s.numbers) for s in structures]
        assert np.allclose(after.energy - before.energy, expected, atol=1e-9)

    def test_shifted_energies(
        self, family: Family, narrowed: Model, structures: list[Structure], tmp_path: Path
    ) -> None:
        model = copy.deepcopy(narrowed)
        batch = model.batch(structures)
        before = model.predict(batch)
        shifts = {14: 1.5, 11: -2.0, 1: 0.25}
        model.shift_energies(shifts)
        after = model.predict(batch)
        expected = [sum(shifts.get(int(z), 0.0) for z in s.numbers) for s in structures]
        assert np.allclose(after.energy - before.energy, expected, atol=1e-9)
        assert torch.allclose(after.forces, before.forces, atol=1e-10)

        model.save(tmp_path / "model.pt")
        loaded = family.load(tmp_path / "model.pt", modal=model.modal, dtype=torch.float64)
        assert torch.allclose(loaded.predict(batch).energy, after.energy, rtol=1e-5)
        unknown = next(z for z in range(118, 0, -1) if z not in model.elements)
        with pytest.raises(UserError, match="does not know"):
            model.shift_energies({unknown: 1.0})

    def test_restricted_elements(
        self, family: Family, narrowed: Model, structures: list[Structure], tmp_path: Path
    ) -> None:
        needed = {int(z) for s in structures for z in s.numbers}
        small = narrowed.restrict_elements(needed)
        assert small.elements == tuple(sorted(needed))
        assert small.parameter_count() <= narrowed.parameter_count()
        expected = narrowed.predict(narrowed.batch(structures))
        found = small.predict(small.batch(structures))
        assert_close(found, expected, 1e-10)
        assert small.cost_model()({}).parameters == small.parameter_count()

        small.save(tmp_path / "model.pt")
        loaded = family.load(tmp_path / "model.pt", modal=small.modal, dtype=torch.float64)
        assert loaded.elements == small.elements
        found = loaded.predict(loaded.batch(structures))
        assert_close(found, expected, 1e-4, floor=1e-3)

        gone = next(z for z in narrowed.elements if z not in needed)
        atom = Structure.unlabelled(Atoms([gone], positions=[[0, 0, 0]]))
        with pytest.raises(UserError, match="does not know"):
            small.batch([atom])
        with pytest.raises(UserError, match="no elements"):
            narrowed.restrict_elements([])

    def test_parameters_are_parts_of_the_network(self, model: Model) -> None:
        trained = [name for name, p in model.named_parameters() if p.requires_grad]
        parts = model.parameter_roles()
        assert list(parts) == trained
        assert set(parts.values()) <= set(get_args(ParameterRole))
        assert {"linear", "radial", "readout"} <= set(parts.values())

    def test_weight_blocks_lie_inside_their_parameters(self, model: Model) -> None:
        parameters = dict(model.network.named_parameters())
        covered = {name: torch.zeros(p.numel(), dtype=torch.int) for name, p in parameters.items()}
        for block in model.weight_blocks():
            size = block.shape[0] * block.shape[1]
            part = covered[block.parameter][block.start : block.start + size]
            assert len(part) == size > 0
            part += 1
        assert max(int(part.max()) for part in covered.values()) == 1
        # Tables that are never trained are no weights of maps.
        trained = [name for name, p in parameters.items() if p.requires_grad]
        share = sum(int(covered[name].sum()) for name in trained)
        assert share > 0.9 * sum(parameters[name].numel() for name in trained)


def _outputs(prediction: Prediction, periodic: list[int]) -> torch.Tensor:
    """All that losses see in one vector."""
    assert prediction.atomic_energies is not None
    told = tensor_of(replace(prediction, stress=prediction.stress[periodic]))
    return torch.cat([told.double(), prediction.atomic_energies.double()])
