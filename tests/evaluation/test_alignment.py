"""Constants between two levels of theory, and real errors that they must not hide."""

import numpy as np
import pytest

from irrepress.core.errors import UserError
from irrepress.data.energy_fit import EnergyOffsets
from irrepress.evaluation.alignment import align

SODIUM, CHLORINE = 11, 17
CONSTANTS = {SODIUM: -4400.0, CHLORINE: -12500.0}  # such as all-electron energies lie lower by


def offsets(constants, error, count=40, seed=0):
    """Differences of random compositions: constants, and errors per atom that follow no rule."""
    rng = np.random.default_rng(seed)
    found = EnergyOffsets()
    for _ in range(count):
        numbers = rng.choice([SODIUM, CHLORINE], size=rng.integers(2, 9))
        constant = sum(constants[int(z)] for z in numbers)
        found.add(numbers, constant + len(numbers) * error * rng.normal())
    return found


def test_another_level_of_theory_is_aligned_by_default_and_told():
    found = align(offsets(CONSTANTS, 0.02), "auto", "the parent, train split")
    assert found.applied
    assert found.constants == pytest.approx(CONSTANTS, rel=1e-4)
    assert found.before > 4000
    assert found.after == pytest.approx(0.02 * np.sqrt(2 / np.pi), rel=0.3)
    assert "energies aligned: 2 constants for the elements, fitted to 40 structures" in found.told
    assert "the parent, train split" in found.told
    assert found.record()["constants"].keys() == {"Na", "Cl"}


@pytest.mark.parametrize(
    ("constants", "error"),
    [
        ({SODIUM: 0.4, CHLORINE: -0.6}, 0.01),  # mostly constant, but no more than a bad model's
        ({SODIUM: 3.0, CHLORINE: -3.0}, 2.0),  # large, but mostly no constant
    ],
)
def test_errors_that_may_be_the_models_own_are_not_taken_out(constants, error):
    found = align(offsets(constants, error), "auto", "this model")
    assert not found.applied
    assert "energies not aligned" in found.told


def test_what_constants_would_explain_is_told():
    found = align(offsets({SODIUM: 0.4, CHLORINE: -0.6}, 0.01), "auto", "this model")
    assert "would change their mean absolute difference from" in found.told
    assert "not aligned" in align(offsets({11: 0, 17: 0}, 0.01), "auto", "this model").told


def test_few_structures_are_never_aligned_by_default():
    few = offsets(CONSTANTS, 0.02, count=5)
    found = align(few, "auto", "this model")
    assert not found.applied
    assert "5 structures (this model) are too few" in found.told
    assert align(few, "always", "this model").applied


def test_settings_are_obeyed():
    assert not align(offsets(CONSTANTS, 0.02), "never", "this model").applied
    assert align(offsets({SODIUM: 0, CHLORINE: 0}, 0.02), "always", "this model").applied
    with pytest.raises(UserError, match=r"1 structure .* too few to distinguish 1 constant"):
        align(offsets(CONSTANTS, 0.02, count=1), "always", "this model")
    assert align(EnergyOffsets(), "always", "this model") is None


def test_one_composition_has_one_constant():
    found = EnergyOffsets()
    for error in (-0.01, 0.0, 0.01):
        found.add(np.array([8, 1, 1]), -30.0 + 3 * error)
    alignment = align(found, "auto", "this model")
    assert alignment.applied
    assert alignment.after == pytest.approx(0.02 / 3)
