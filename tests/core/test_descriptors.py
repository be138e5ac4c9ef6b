"""Descriptors of structures, and the calculator that runs a model."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotImplementedError

from irrepress.core.calculator import ModelCalculator
from irrepress.core.descriptors import describe
from irrepress.core.evaluator import faster_evaluator
from irrepress.core.structure import Structure


def test_descriptors_are_those_of_the_structure_not_of_its_size_or_orientation(small_sevennet):
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    atoms.rattle(0.1, seed=1)
    structure = Structure.unlabelled(atoms)
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    turned = replace(structure, positions=structure.positions @ turn, cell=structure.cell @ turn)
    doubled = Structure.unlabelled(atoms.repeat((2, 1, 1)))
    atoms.rattle(0.1, seed=2)
    other = Structure.unlabelled(atoms)
    found = describe(small_sevennet, [structure, turned, doubled, other], elements=[17, 11, 14])
    size = np.abs(found).max()
    assert np.allclose(found[0], found[1], atol=1e-4 * size)
    assert np.allclose(found[0], found[2], atol=1e-4 * size)
    assert np.abs(found[0] - found[3]).max() > 1e-2 * size
    first, second, absent = np.split(found, 3, axis=1)
    assert first.any() and second.any() and not absent.any()


@pytest.mark.parametrize("model", ["small_sevennet", "sevennet_0"])
def test_the_faster_code_describes_alike(request, model):
    model = request.getfixturevalue(model)
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    atoms.rattle(0.1, seed=1)
    structures = [Structure.unlabelled(each) for each in (atoms, bulk("Si"), molecule("H2O"))]
    evaluator = faster_evaluator(model)
    assert evaluator is not None
    expected, found = describe(model, structures), describe(model, structures, None, evaluator)
    assert np.allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_the_calculator_gives_what_the_model_predicts(small_sevennet):
    atoms = bulk("Si")
    atoms.rattle(0.1)
    atoms.calc = ModelCalculator(small_sevennet)
    prediction = small_sevennet.predict(small_sevennet.batch([Structure.unlabelled(atoms)]))
    assert atoms.get_potential_energy() == pytest.approx(float(prediction.energy))
    assert np.allclose(atoms.get_forces(), prediction.forces)
    assert np.allclose(atoms.get_stress(), prediction.stress[0])
    water = molecule("H2O")
    water.calc = ModelCalculator(small_sevennet)
    assert water.get_forces().shape == (3, 3)
    with pytest.raises(PropertyNotImplementedError):
        water.get_stress()
