"""Databases of SchNetPack 2, whose metadata tell their units."""

import numpy as np
import pytest
from ase.db import connect
from ase.units import Bohr, Hartree, kcal, mol
from format_samples import assert_frame, salt, water, write_schnetpack

from irrepress.core.errors import UserError
from irrepress.data.config import LabelKeys, Units
from irrepress.data.formats.registry import make_reader

KCAL = {"energy": ("energy", kcal / mol), "forces": ("forces", kcal / mol)}


def records(path, *args):
    reader = make_reader("auto", [path], *args)
    return list(reader.records()), reader


def test_units_are_those_of_the_database(tmp_path):
    images = [water(index) for index in range(3)]
    units = {"energy": "kcal/mol", "forces": "kcal/mol/Ang"}
    read, reader = records(write_schnetpack(tmp_path / "a.db", images, units, **KCAL))
    for record, atoms in zip(read, images, strict=True):
        assert_frame(record.structure, atoms, 1e-10)
    (remark,) = reader.remarks
    assert remark.text == (
        "units taken from the metadata of the database: positions in Ang, energy in kcal/mol, "
        "forces in kcal/mol/Ang"
    )


@pytest.mark.parametrize("spelling", ["Ha/Bohr", "Hartree/Bohr", "hartree / a0"])
def test_atomic_units(tmp_path, spelling):
    labels = {"energy": ("energy", Hartree), "forces": ("forces", Hartree / Bohr)}
    units = {"energy": "Hartree", "forces": spelling}
    path = write_schnetpack(tmp_path / "a.db", [salt(stress=None)], units, "Bohr", **labels)
    ((record,), _) = records(path)
    assert_frame(record.structure, salt(stress=None), 1e-10)


@pytest.mark.parametrize("spelling", ["Ha*Bohr^-1", "eV//Ang", "furlong", "eV/0"])
def test_units_that_are_not_known(tmp_path, spelling):
    units = {"energy": "kcal/mol", "forces": spelling}
    path = write_schnetpack(tmp_path / "a.db", [water()], units, **KCAL)
    with pytest.raises(UserError, match=r"a.db: the unit '.*' of _.*\.forces .*; write it"):
        records(path)


def test_stress_in_units_of_volume(tmp_path):
    labels = {"energy": ("energy", 1), "forces": ("forces", 1), "stress": ("stress", 1)}
    units = {"energy": "eV", "forces": "eV/Ang", "stress": "eV/Ang/Ang/Ang"}
    ((record,), _) = records(write_schnetpack(tmp_path / "a.db", [salt()], units, **labels))
    assert_frame(record.structure, salt(), 1e-10)


def test_other_names_of_properties_and_units_that_no_label_has(tmp_path):
    labels = {"energy_U0": ("energy", Hartree), "F": ("forces", Hartree), "dip": ("energy", 1)}
    units = {"energy_U0": "Ha", "F": "Ha/Ang", "dip": "Debye"}
    path = write_schnetpack(tmp_path / "a.db", [water()], units, **labels)
    ((record,), _) = records(path, LabelKeys(energy="energy_U0", forces="F"))
    assert_frame(record.structure, water(), 1e-10)
    with pytest.raises(UserError, match=r"the unit 'Debye' of _property_unit_dict.dip"):
        records(path, LabelKeys(energy="dip", forces="F"))
    ((error,), _) = records(path, LabelKeys(energy="energy_U"))
    assert "energy_U" in str(error)


def test_units_of_the_config_beside_its_own_are_refused(tmp_path):
    path = write_schnetpack(tmp_path / "a.db", [water()], {"energy": "kcal/mol"}, **KCAL)
    with pytest.raises(
        UserError, match=r"units says energy: meV, but the database defines its own"
    ):
        records(path, None, Units(energy="meV"))


def test_a_database_without_units_has_those_of_the_config(tmp_path):
    atoms = water()
    with connect(tmp_path / "a.db") as database:
        database.write(atoms)
        database.metadata = {"title": "mine"}
    ((record,), reader) = records(tmp_path / "a.db", None, Units(energy="meV"))
    assert np.isclose(record.structure.energy * 1000, atoms.calc.results["energy"])
    assert not reader.remarks
