from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from irrepress.core.errors import UserError
from irrepress.evaluation.errors import ErrorAccumulator, compare_predictions, compute_errors
from irrepress.evaluation.predictions import label


def test_errors_by_hand(structures):
    reference = structures[0]
    predicted = replace(
        reference,
        energy=reference.energy + 0.8,
        forces=reference.forces + np.array([0.3, 0.0, -0.3]),
        stress=reference.stress - 0.02,
    )
    accumulator = ErrorAccumulator()
    accumulator.add(predicted, reference)
    result = accumulator.result()
    assert result["energy_mae"] == pytest.approx(0.8 / 8)
    assert result["forces_mae"] == pytest.approx(0.2)
    assert result["forces_rmse"] == pytest.approx(np.sqrt(2 * 0.09 / 3))
    assert result["stress_mae"] == pytest.approx(0.02)


def test_what_has_no_label_is_left_out(structures):
    accumulator = ErrorAccumulator()
    molecule = structures[2]
    accumulator.add(molecule, molecule)
    result = accumulator.result()
    assert result["stress_mae"] is None
    assert result["energy_mae"] == result["forces_mae"] == 0


def test_a_model_agrees_with_its_own_labels(small_sevennet, structures):
    own = list(label(small_sevennet, structures, batch_size=3))
    labels, reference = compute_errors(small_sevennet, structures, own, batch_size=1)
    assert reference["forces_mae"] < 1e-5
    assert reference["energy_mae"] < 1e-5
    assert labels["forces_mae"] > 0.1


def test_stress_is_labelled_only_where_there_is_a_volume(small_sevennet, structures):
    own = list(label(small_sevennet, structures))
    assert np.isfinite(own[0].stress).all()
    assert np.isnan(own[2].stress).all()


def without(structure, *labels):
    bare = structure.without_labels()
    return replace(structure, **{name: getattr(bare, name) for name in labels})


def diverging(model):
    """A copy whose weights are finite, but so large that the predictions are not."""
    model = deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e20)
    return model


def test_errors_are_means_over_the_labels_that_are_there(small_sevennet, structures):
    silicon, salt, ethanol = structures
    mixed = [without(silicon, "forces", "stress"), salt, without(ethanol, "energy")]
    found = compare_predictions(small_sevennet, mixed, batch_size=3)
    assert str(found.labels) == "labels of 3 structures: energies of 2, forces of 2, stress of 1"
    alone = {
        name: compute_errors(small_sevennet, [s])[0]
        for name, s in (("silicon", silicon), ("salt", salt), ("ethanol", ethanol))
    }
    result = found.against[0].result()
    energies = [alone[name]["energy_mae"] for name in ("silicon", "salt")]
    assert result["energy_mae"] == pytest.approx(np.mean(energies), rel=1e-4)
    forces = [alone[name]["forces_mae"] for name in ("salt", "ethanol")]
    assert result["forces_mae"] == pytest.approx(
        np.average(forces, weights=[len(salt), len(ethanol)]), rel=1e-4
    )
    assert result["stress_mae"] == pytest.approx(alone["salt"]["stress_mae"], rel=1e-4)


def test_a_stress_without_a_volume_is_counted_and_not_compared(small_sevennet, structures):
    silicon, salt, _ = structures
    slab = replace(salt, pbc=np.array([True, True, False]))
    found = compare_predictions(small_sevennet, [silicon, slab])
    assert (found.labels.stress, found.labels.stress_without_volume) == (1, 1)
    assert "the stress of 1 is not used" in str(found.labels)
    (alone,) = compute_errors(small_sevennet, [silicon])
    assert found.against[0].result()["stress_mae"] == pytest.approx(alone["stress_mae"])
    assert not found.failures


def test_predictions_that_are_not_finite_are_no_missing_labels(structures):
    # One structure of two fails: a mean over the other one would make the model look better.
    good = structures[0]
    broken = replace(good, forces=np.full_like(good.forces, np.nan))
    accumulator = ErrorAccumulator()
    accumulator.add(good, good)
    accumulator.add(broken, good)
    result = accumulator.result()
    assert result["forces_mae"] is None
    assert result["forces_rmse"] is None
    assert result["energy_mae"] == result["stress_mae"] == 0


def test_a_model_that_predicts_nan_is_refused_or_counted(small_sevennet, structures):
    model = diverging(small_sevennet)
    found = compare_predictions(model, structures)
    assert found.failures.structures == 3
    assert found.failures.record()["first"] == [0, 1, 2]
    # The molecule has no volume: its stress is not defined, and no failure.
    assert found.failures.quantities == {"energy": 3, "forces": 3, "stress": 2}
    assert set(found.against[0].result().values()) == {None}
    message = r"small: the predicted energy and forces and stress of 1 structure are not finite: "
    with pytest.raises(UserError, match=message + r"structure 0 \(Si8\)"):
        list(label(model, structures, name="small"))
    with pytest.raises(UserError, match="of 3 structures are not finite"):
        compute_errors(model, structures)
