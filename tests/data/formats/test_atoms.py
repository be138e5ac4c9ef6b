"""Atoms in memory are read as those of a file."""

import numpy as np
import pytest
from ase.build import bulk
from samples import copper_frames

from irrepress.core.errors import UserError
from irrepress.data.config import LabelKeys, Units
from irrepress.data.formats.atoms import AtomsReader


def test_labels_of_calculators_keys_and_units():
    frames = copper_frames(3)
    first, *_ = AtomsReader(frames).records()
    assert first.structure.energy == frames[0].get_potential_energy()
    assert np.array_equal(first.structure.forces, frames[0].get_forces())
    assert first.where == "atoms: frame 0"
    atoms = bulk("Si")
    atoms.info["E"] = -0.4
    (record,) = AtomsReader([atoms], LabelKeys(energy="E"), Units(energy="Hartree")).records()
    assert record.structure.energy == pytest.approx(-0.4 * 27.211386)


def test_frames_without_labels_are_taken_if_they_may_be():
    (refused,) = AtomsReader([bulk("Si")]).records()
    assert isinstance(refused, UserError) and "atoms: frame 0: no energy" in str(refused)
    (record,) = AtomsReader([bulk("Si")], options={"unlabelled": True}).records()
    assert np.isnan(record.structure.energy) and not record.notes
    atoms = bulk("Si")
    atoms.info["my_energy"] = -10.0
    (named,) = AtomsReader([atoms], options={"unlabelled": True}).records()
    assert isinstance(named, UserError) and "my_energy" in str(named)
