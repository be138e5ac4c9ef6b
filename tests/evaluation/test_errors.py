from dataclasses import replace

import numpy as np
import pytest

from irrepress.evaluation.errors import ErrorAccumulator, compute_errors
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


def test_a_model_agrees_with_its_own_labels(sevennet, small_sevennet, structures):
    own = list(label(sevennet, small_sevennet, structures, batch_size=3, device="cpu"))
    labels, reference = compute_errors(
        sevennet, small_sevennet, structures, own, batch_size=1, device="cpu"
    )
    assert reference["forces_mae"] < 1e-5
    assert reference["energy_mae"] < 1e-5
    assert labels["forces_mae"] > 0.1


def test_stress_is_labelled_only_where_there_is_a_volume(sevennet, small_sevennet, structures):
    own = list(label(sevennet, small_sevennet, structures, device="cpu"))
    assert np.isfinite(own[0].stress).all()
    assert np.isnan(own[2].stress).all()
