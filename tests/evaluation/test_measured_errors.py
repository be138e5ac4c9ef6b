"""Errors of a study's models on a store: labels that some structures lack, or of another level."""

import logging
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import bulk

from irrepress.core.errors import UserError
from irrepress.core.structure import Structure
from irrepress.data.config import Split
from irrepress.data.layout import StoreInfo
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store
from irrepress.evaluation.alignment import require_one_level, shifts_beyond_doubt
from irrepress.evaluation.metrics import measure_errors
from irrepress.evaluation.predictions import label

# All-electron energies lie lower by such constants, in eV.
CONSTANTS = {11: -4400.0, 17: -12500.0}


def measured(*args, **options):
    """What `measure_errors` leaves in ``metrics.json``."""
    return measure_errors(*args, **options).content()


@pytest.fixture(scope="module")
def labelled(sevennet_0):
    """Rattled salt labelled by the whole SevenNet-0, which is the parent."""
    crystals = []
    for seed in range(12):
        atoms = bulk("NaCl", "rocksalt", a=5.64)
        if seed % 2:
            atoms.numbers[:] = 11, 11
        atoms.rattle(0.05, seed=seed)
        crystals.append(Structure.unlabelled(atoms, group=str(seed)))
    return list(label(sevennet_0, crystals))


@pytest.fixture
def make_store(tmp_path):
    def make(structures, name="data", train=0.5, test=0.5):
        path = tmp_path / f"{name}.h5"
        info = StoreInfo("test", "MIT", "", "PBE", labels="PBE", checksum="0")
        split = Split(train=train, valid=0.0, test=test, by="structure")
        write_store(path, structures, info, split, seed=0)
        return StructureStore(path)

    return make


def all_electron(structures):
    """The same structures with energies of another level of theory."""
    return [
        replace(s, energy=s.energy + sum(CONSTANTS[int(z)] for z in s.numbers)) for s in structures
    ]


def drifted(model):
    """A copy whose energies are off by a constant: a real error, if a dull one."""
    model = deepcopy(model)
    model.shift_energies({11: 30.0, 17: 30.0})
    return model


def test_errors_against_another_level_are_aligned_by_the_parent_alone(
    small_sevennet, labelled, make_store, caplog
):
    store, teacher = make_store(all_electron(labelled)), make_store(labelled, "teacher")
    options = {"teacher": teacher}
    with caplog.at_level(logging.INFO):
        metrics = measured(small_sevennet, store, **options)
    right = measured(small_sevennet, teacher, **options)
    assert right["alignment"]["applied"] is False
    errors = metrics["errors"]
    # As if the labels were the parent's own: the offsets are gone, the model's errors are not.
    assert errors["labels"] == pytest.approx(right["errors"]["labels"], rel=1e-3)
    assert errors["parent"] == right["errors"]["parent"]

    alignment = metrics["alignment"]
    assert alignment["applied"]
    assert alignment["constants"] == pytest.approx({"Na": -4400, "Cl": -12500}, rel=1e-5)
    assert alignment["unaligned"]["energy_mae"] > 4000
    assert alignment["fitted_to"] == "the parent, train split"
    assert alignment["told"] in caplog.text
    assert metrics["units"]["errors"]["energy"] == "eV/atom"

    # A compressed model that is off by constants keeps this error, however large.
    moved = drifted(small_sevennet)
    found = measured(moved, store, **options)["errors"]["labels"]
    expected = measured(moved, teacher, **options)["errors"]["labels"]
    assert found == pytest.approx(expected, rel=1e-3)
    assert found["energy_mae"] > 20


def test_a_model_that_was_trained_on_the_labels_is_aligned_with_the_parent_instead(
    small_sevennet, labelled, make_store
):
    store, teacher = make_store(all_electron(labelled)), make_store(labelled, "teacher")
    trained = deepcopy(small_sevennet)
    trained.double()
    trained.shift_energies(CONSTANTS)
    options = {"teacher": teacher}
    errors = measured(trained, store, knows_labels=True, **options)["errors"]
    expected = measured(small_sevennet, teacher, **options)["errors"]["parent"]
    for reference in ("labels", "parent"):
        assert errors[reference]["energy_mae"] == pytest.approx(expected["energy_mae"], abs=2e-3)


def test_the_parent_is_run_where_the_evaluated_split_is_too_small(
    sevennet_0, small_sevennet, labelled, make_store
):
    """A teacher that labels the test split alone, as in studies that do not distil on the data."""
    store = make_store(all_electron(labelled), train=0.75, test=0.25)
    is_test = set(store.splits["test"].tolist())
    taught = [s if i in is_test else s.without_labels() for i, s in enumerate(labelled)]
    teacher = make_store(taught, "teacher", train=0.75, test=0.25)
    options = {"teacher": teacher}
    alone = measured(small_sevennet, store, **options)["alignment"]
    assert not alone["applied"]
    assert "too few to distinguish" in alone["told"]
    options["parent"] = sevennet_0
    found = measured(small_sevennet, store, **options)["alignment"]
    assert found["applied"]
    assert found["fitted_to"] == "the parent, part of the train split"
    assert found["constants"] == pytest.approx({"Na": -4400, "Cl": -12500}, rel=1e-5)


def test_a_setting_forbids_alignment(small_sevennet, labelled, make_store):
    store = make_store(all_electron(labelled))
    metrics = measured(small_sevennet, store, alignment="never")
    assert metrics["errors"]["labels"]["energy_mae"] > 4000
    assert not metrics["alignment"]["applied"]


def test_labels_that_are_there_are_counted(small_sevennet, labelled, make_store, caplog):
    energies = [
        replace(s, forces=np.full((len(s), 3), np.nan), stress=np.full(6, np.nan)) for s in labelled
    ]
    store = make_store(energies)
    with caplog.at_level(logging.INFO):
        metrics = measured(small_sevennet, store)
    assert metrics["labelled"] == {
        "structures": 6,
        "energy": 6,
        "forces": 0,
        "stress": 0,
        "stress_without_volume": 0,
    }
    assert "labels of 6 structures: energies of 6, forces of 0, stress of 0" in caplog.text
    assert metrics["errors"]["labels"]["energy_mae"] > 0
    assert metrics["errors"]["labels"]["forces_mae"] is None
    assert metrics["failures"] == {"structures": 0, "quantities": {}, "first": []}


def test_predictions_that_are_not_finite_are_failures(small_sevennet, labelled, make_store, caplog):
    model = deepcopy(small_sevennet)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e20)
    metrics = measured(model, make_store(labelled), name="results/s/model.pt")
    assert metrics["failures"]["structures"] == 6
    assert metrics["failures"]["quantities"] == {"energy": 6, "forces": 6, "stress": 6}
    assert metrics["errors"]["labels"]["energy_mae"] is None
    assert "results/s/model.pt: the predicted energy and forces and stress of 6" in caplog.text


def test_training_begins_at_the_level_of_the_labels(
    sevennet_0, small_sevennet, labelled, make_store, caplog
):
    store = make_store(all_electron(labelled))
    shifts = shifts_beyond_doubt(small_sevennet, store)
    assert shifts == pytest.approx(CONSTANTS, rel=1e-2)
    assert "energies aligned" in caplog.text
    # What a model may be wrong by is left to training.
    assert shifts_beyond_doubt(sevennet_0, make_store(labelled)) == {}


def test_labels_and_parent_of_two_levels_are_not_mixed(labelled, make_store):
    teacher = make_store(labelled, "teacher")
    require_one_level(make_store(labelled), teacher)
    with pytest.raises(UserError, match=r"distillation.label_fraction: .* contradict each other"):
        require_one_level(make_store(all_electron(labelled)), teacher)
