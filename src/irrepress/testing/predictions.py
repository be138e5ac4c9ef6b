"""Energies, forces and stress of a batch."""

import copy
import functools
import pkgutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import pytest
import torch
from ase import Atoms

from irrepress.core.errors import UserError
from irrepress.core.family import Family
from irrepress.core.model import Batch, Model, Prediction
from irrepress.core.structure import Structure
from irrepress.testing.comparisons import assert_close, tensor_of
from irrepress.testing.fixtures import FamilyFixtures


def _counted(calls: Counter[str], name: str) -> Callable[..., Any]:
    """A function by its dotted name, wrapped so that its calls are counted."""
    original = pkgutil.resolve_name(name)

    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        calls[name] += 1
        return original(*args, **kwargs)

    return wrapped


class PredictionTests(FamilyFixtures):
    """Tests of `Model.batch`, `Model.predict` and `Model.atomic_energies`."""

    def test_faster_code_computes_what_the_familys_own_does(
        self, model: Model, structures: list[Structure], batch: Batch
    ) -> None:
        """Predictions, and derivatives of a loss on forces by the parameters."""
        periodic = [i for i, s in enumerate(structures) if s.pbc.all()]
        parameters = [p for p in model.parameters() if p.requires_grad]
        found = []
        for native in (True, False):
            prediction = model.predict(batch, create_graph=True, native=native)
            loss = prediction.energy.square().sum() + prediction.forces.square().sum()
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
            slopes = [slope.flatten() for slope in gradients if slope is not None]
            prediction = replace(prediction, stress=prediction.stress[periodic])
            found.append((tensor_of(prediction).detach(), torch.cat(slopes)))
        # A package may hold constants such as 3j symbols in single precision.
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-6 * float(b.abs().max()))

    def test_native_runs_the_familys_own_code_alone(
        self, model: Model, batch: Batch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: Counter[str] = Counter()
        for name in (self.ours, self.theirs):
            monkeypatch.setattr(name, _counted(calls, name))
        model.predict(batch, native=True)
        assert calls[self.theirs] > 0
        assert calls[self.ours] == 0
        model.predict(batch)
        assert calls[self.ours] > 0

    def test_own_code_names_the_familys_package(self, family: Family) -> None:
        assert family.own_code().startswith(f"{family.package} {version(family.package)}")

    def test_batch_is_the_sum_of_its_structures(
        self, model: Model, structures: list[Structure], batch: Batch, whole: Prediction
    ) -> None:
        for i, structure in enumerate(structures):
            alone = model.predict(model.batch([structure]))
            assert float(whole.energy[i]) == pytest.approx(float(alone.energy[0]), rel=1e-12)
            assert torch.allclose(whole.forces[batch.structure == i], alone.forces, atol=1e-10)
            if structure.pbc.all():
                assert torch.allclose(whole.stress[i], alone.stress[0], atol=1e-12)

    def test_batch_knows_its_structures(self, batch: Batch, structures: list[Structure]) -> None:
        assert len(batch) == len(structures)
        assert batch.num_atoms.tolist() == [len(s) for s in structures]
        assert batch.numbers.tolist() == [z for s in structures for z in s.numbers]
        expected = [i for i, s in enumerate(structures) for _ in s.numbers]
        assert batch.structure.tolist() == expected

    def test_predicting_leaves_the_batch_alone(
        self, model: Model, structures: list[Structure]
    ) -> None:
        batch = model.batch(structures)
        before = copy.deepcopy(batch)
        first = model.predict(batch)
        for name, value in before.inputs.items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(batch.inputs[name], value), name
                assert not batch.inputs[name].requires_grad
        assert set(batch.inputs) == set(before.inputs)
        assert_close(model.predict(batch), first, 0, floor=0)

    def test_graph_is_kept_only_when_asked_for(
        self, model: Model, batch: Batch, whole: Prediction
    ) -> None:
        for training in (True, False):
            model.train(training)
            kept = model.predict(batch, create_graph=True)
            assert kept.forces.requires_grad and kept.stress.requires_grad
            with torch.no_grad():
                free = model.predict(batch)
            assert not free.energy.requires_grad and not free.forces.requires_grad
            assert_close(free, whole, 1e-12)
            assert all(m.training == training for m in model.modules())
        model.eval()

    def test_atomic_energies_add_up(self, narrowed: Model, structures: list[Structure]) -> None:
        batch = narrowed.batch(structures)
        atomic = narrowed.atomic_energies(batch)
        assert atomic.shape == batch.structure.shape
        assert not atomic.requires_grad
        total = torch.zeros(len(structures), dtype=atomic.dtype)
        total = total.index_add(0, batch.structure, atomic)
        expected = narrowed.predict(batch).energy
        torch.testing.assert_close(total, expected, rtol=1e-10, atol=1e-10)

    def test_atomic_energies_of_a_prediction_can_be_differentiated(
        self, narrowed: Model, structures: list[Structure]
    ) -> None:
        """They are those of `Model.atomic_energies`, and targets of a distillation."""
        batch = narrowed.batch(structures)
        found = narrowed.predict(batch, create_graph=True).atomic_energies
        assert found is not None and found.requires_grad
        torch.testing.assert_close(
            found.detach(), narrowed.atomic_energies(batch), rtol=1e-10, atol=1e-10
        )
        parameters = [p for p in narrowed.parameters() if p.requires_grad]
        slopes = torch.autograd.grad(found.square().sum(), parameters, allow_unused=True)
        assert any(slope is not None and slope.abs().max() > 0 for slope in slopes)
        detached = narrowed.predict(batch).atomic_energies
        assert detached is not None and not detached.requires_grad

    def test_isolated_atom(self, model: Model) -> None:
        number = model.elements[0]
        atom = Structure.unlabelled(Atoms([number], positions=[[0, 0, 0]]))
        prediction = model.predict(model.batch([atom]))
        assert torch.isfinite(prediction.energy).all()
        assert torch.equal(prediction.forces, torch.zeros(1, 3, dtype=model.dtype))

    def test_unknown_element_is_named(self, model: Model) -> None:
        number = next(z for z in range(118, 0, -1) if z not in model.elements)
        atom = Atoms([number], positions=[[0, 0, 0]])
        with pytest.raises(UserError, match=atom.get_chemical_formula()):
            model.batch([Structure.unlabelled(atom)])
