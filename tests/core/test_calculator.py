"""The calculator gives what the model predicts, whichever code it runs."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
from ase.build import bulk, molecule

from irrepress.core.calculator import ModelCalculator
from irrepress.core.errors import UserError
from irrepress.core.family import EvaluatesFaster
from irrepress.core.structure import Structure
from irrepress.pruning.config import Sweep
from irrepress.pruning.scoring import compute_scores
from irrepress.study.planning import Planning
from irrepress.study.recipes import Recipe


def rattled():
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.02 * np.eye(3, k=1)), scale_atoms=True)
    atoms.rattle(0.1, seed=1)
    return atoms


def alcohol():
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.1, seed=2)
    return atoms


def check(calculator, model, atoms, tolerance):
    expected = model.predict(model.batch([Structure.unlabelled(atoms)]))
    atoms.calc = calculator
    largest = float(expected.forces.abs().max())
    assert largest > 0.1
    assert atoms.get_potential_energy() == pytest.approx(float(expected.energy[0]), rel=2e-7)
    assert atoms.get_forces() == pytest.approx(expected.forces.numpy(), abs=tolerance * largest)
    if atoms.pbc.all():
        stress = expected.stress[0].numpy()
        assert atoms.get_stress() == pytest.approx(stress, abs=tolerance * float(abs(stress).max()))
    else:
        assert "stress" not in calculator.results


@pytest.mark.parametrize("atoms", [rattled(), alcohol()], ids=["crystal", "molecule"])
@pytest.mark.parametrize(("name", "tolerance"), [("sevennet_0", 1e-5), ("sevennet_0_double", 1e-6)])
def test_faster_code_gives_what_the_model_predicts(request, name, tolerance, atoms):
    model = request.getfixturevalue(name)
    assert isinstance(model.family, EvaluatesFaster)
    calculator = ModelCalculator(model)
    check(calculator, model, atoms, tolerance)
    check(pickle.loads(pickle.dumps(calculator)), model, atoms, tolerance)


@pytest.mark.parametrize("cutoff", [None, 4.5])
def test_a_copied_model_is_run_as_well(sevennet_0, cutoff):
    """PyTorch traces generated code anew in a copy, which then has buffers of its own."""
    scores = compute_scores(sevennet_0, [], criteria=["magnitude"])
    recipe = Recipe(criterion="magnitude", budget=0.5, allocation="greedy")
    narrow = sevennet_0.narrow(Planning(sevennet_0, recipe, Sweep(), scores).plan())
    copied = deepcopy(narrow)
    assert set(copied.network.state_dict()) - set(narrow.network.state_dict())
    model = copied.with_cutoff(cutoff)
    atoms = rattled()
    atoms.calc = ModelCalculator(model)
    expected = model.predict(model.batch([Structure.unlabelled(atoms)]))
    assert atoms.get_forces() == pytest.approx(expected.forces.numpy(), abs=1e-5)


def test_what_the_faster_code_does_not_know_is_run_in_batches(sevennet_0, monkeypatch):
    def refuse(model):
        raise UserError("a part of the model")

    monkeypatch.setattr(type(sevennet_0.family), "evaluator", staticmethod(refuse))
    check(ModelCalculator(sevennet_0), sevennet_0, rattled(), 1e-7)
