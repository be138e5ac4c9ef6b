"""What untrained models are told of their data."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from irrepress.catalogue.families import check_settings
from irrepress.core.errors import UserError
from irrepress.core.family import Family, make_untrained
from irrepress.core.statistics import measure_statistics
from irrepress.core.structure import Structure

REFERENCES = {1: -1.0, 6: -7.0, 8: -5.0, 11: -2.0, 14: -5.4, 17: -3.0}


def test_shift_and_scale(structures):
    silicon, salt, ethanol = structures
    unlabelled = ethanol.without_labels()
    found = measure_statistics(REFERENCES, [silicon, salt, unlabelled])
    above = silicon.energy + salt.energy - 8 * -5.4 - 4 * (-2.0 - 3.0)
    assert found.shift == pytest.approx(above / 16)
    forces = np.concatenate([silicon.forces, salt.forces])
    assert found.scale == pytest.approx(np.sqrt(np.mean(forces**2)))
    assert found.elements == sorted(REFERENCES)
    assert found.shifted()[14] == pytest.approx(-5.4 + found.shift)


def test_neighbours_of_perfect_crystals():
    copper = Structure.unlabelled(bulk("Cu", cubic=True))
    at_rest = replace(copper, energy=-14.0, forces=np.zeros((4, 3)))
    found = measure_statistics({29: -3.0}, [at_rest, at_rest])
    assert found.neighbours(2.6) == 12 and found.neighbours(3.7) == 18
    assert found.neighbours(1.0) == 1  # it divides
    assert found.scale == 1  # no forces to measure by


def test_energies_or_forces_alone_are_enough_and_it_is_told(structures, caplog):
    whole = measure_statistics(REFERENCES, structures)
    energies = [replace(s, forces=np.full_like(s.forces, np.nan)) for s in structures]
    found = measure_statistics(REFERENCES, energies)
    assert (found.shift, found.scale) == (whole.shift, 1)
    assert "no forces to determine the model's scale" in caplog.text
    found = measure_statistics(REFERENCES, [replace(s, energy=np.nan) for s in structures])
    assert (found.shift, found.scale) == (0, whole.scale)
    assert "no energies to determine the model's shift" in caplog.text


def test_data_without_labels_are_refused(structures):
    with pytest.raises(UserError, match="neither energies nor forces"):
        measure_statistics(REFERENCES, [s.without_labels() for s in structures])


def test_the_nearest_setting_is_named():
    check_settings("sevennet", {"lmax": 2})
    with pytest.raises(UserError, match=r"untrained\.lmx: not a setting .*; did you mean 'lmax'"):
        check_settings("sevennet", {"lmx": 2})


def test_a_family_without_settings_says_so(structures):
    class Other(Family):
        name = "other"

    Other.__abstractmethods__ = frozenset()
    data = measure_statistics(REFERENCES, structures)
    with pytest.raises(
        UserError, match="'other' cannot build models from settings; give a checkpoint"
    ):
        make_untrained(Other(), {}, data, seed=0)
