"""Labels wherever a file keeps them, groups, isolated atoms; one message for each mistake."""

import numpy as np
import pytest
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress
from format_samples import assert_frame, labelled, salt, water

from irrepress.core.errors import UserError
from irrepress.data.config import LabelKeys, Units
from irrepress.data.formats.frame import Frame
from irrepress.data.formats.labels import LabelReader

NONE = LabelKeys()


def read(atoms, keys=NONE, **settings):
    return LabelReader(keys, Units(), **settings).structure(
        Frame.from_atoms(atoms, "a.xyz: frame 3")
    )


def with_keys():
    """A frame with DFT labels under the user's names, beside wrong ones of a calculator."""
    atoms = salt()
    right = atoms.calc.results
    atoms.info["dft_energy"] = right["energy"]
    atoms.info["dft_stress"] = voigt_6_to_full_3x3_stress(right["stress"])
    atoms.info["dft_stress_9"] = atoms.info["dft_stress"].reshape(9)
    atoms.arrays["dft_forces"] = right["forces"]
    return labelled(atoms, 100)


@pytest.mark.parametrize("stress", ["dft_stress", "dft_stress_9"])
def test_keys_of_the_user_win_over_a_calculator(stress):
    keys = LabelKeys(energy="dft_energy", forces="dft_forces", stress=stress)
    assert_frame(read(with_keys(), keys), salt())
    assert read(with_keys()).energy == with_keys().calc.results["energy"]


def test_a_key_may_name_a_result_of_ase():
    assert read(salt(free_energy=-7.25), LabelKeys(energy="free_energy")).energy == -7.25


def test_stress_may_be_absent_but_not_when_its_key_is_given():
    assert np.isnan(read(salt(stress=None)).stress).all()
    frame = Frame.from_atoms(salt(stress=None), "a.xyz: frame 3")
    assert np.isnan(LabelReader(LabelKeys(stress="virial"), Units()).structure(frame).stress).all()
    assert frame.notes == ["no stress under the key 'virial', but energy, forces"]
    with pytest.raises(UserError, match="no stress under the key 'virial'"):
        read(salt(stress=None), LabelKeys(stress="virial"), required=("stress",))


@pytest.mark.parametrize("label", ["energy", "forces"])
def test_absent_labels_name_the_keys_that_are_there(label):
    atoms = salt(**{label: None})
    atoms.info["REF_energy"] = -6.5
    atoms.arrays["REF_forces"] = np.zeros((2, 3))
    message = (
        rf"a\.xyz: frame 3: no {label} under the key '{label}'; set keys\.{label} .*"
        r"REF_energy, REF_forces"
    )
    with pytest.raises(UserError, match=message):
        read(atoms)


def test_no_labels_at_all():
    with pytest.raises(UserError, match=r"no energy .*there are no labels at all"):
        read(Atoms("H"))


def test_labels_that_are_not_required_may_be_absent_and_are_read_if_they_are_there():
    structure = read(Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]), required=())
    assert np.isnan(structure.energy) and np.isnan(structure.forces).all()
    assert_frame(read(salt(), required=()), salt())
    with pytest.raises(UserError, match="no forces"):
        read(salt(forces=None, stress=None), required=("forces",))


def test_labels_of_the_wrong_shape_or_type():
    atoms = with_keys()
    atoms.info["name"] = "salt"
    atoms.info["skew"] = np.array([[0, 1.0, 0], [0, 0, 0], [0, 0, 0]])
    for keys, message in [
        (LabelKeys(energy="dft_forces"), r"energy has the shape \[2, 3\], expected \[\]"),
        (LabelKeys(forces="dft_energy"), r"forces has the shape \[\], expected \[2, 3\]"),
        (LabelKeys(energy="name"), "energy is 'salt', not numbers"),
        (LabelKeys(stress="skew"), "not symmetric"),
        (LabelKeys(stress="dft_energy"), r"stress has the shape \[\], expected \[3, 3\]"),
    ]:
        with pytest.raises(UserError, match=message):
            read(atoms, keys)


@pytest.mark.parametrize("label", ["energy", "forces", "stress"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_do_not_pass_as_absent(label, value):
    results = dict(salt().calc.results)
    results[label] = np.array(results[label], dtype=float)
    results[label].flat[-1] = value
    with pytest.raises(UserError, match=rf"{label} holds {value}; correct or remove the frame"):
        read(salt(**results))


# --- groups -------------------------------------------------------------------------------


def test_groups():
    atoms = salt()
    assert read(atoms).group == ""
    atoms.info.update(group="sodium chloride", material_id="mp-22862")
    assert read(atoms).group == "sodium chloride"
    assert read(atoms, LabelKeys(group="material_id")).group == "mp-22862"
    message = r"no group under the key 'mp_id'; set keys\.group .*group, material_id"
    with pytest.raises(UserError, match=message):
        read(atoms, LabelKeys(group="mp_id"))


def test_a_pattern_takes_from_a_frame_s_name_what_siblings_share():
    atoms = salt()
    atoms.info["sid"] = "agm003300702_0_12"
    keys = LabelKeys(group="sid")
    assert read(atoms, keys, group_pattern="[^_]+").group == "agm003300702"
    with pytest.raises(UserError, match="the group 'agm003300702_0_12' is not of the form 'mp-"):
        read(atoms, keys, group_pattern=r"mp-\d+")


def test_numbers_as_groups_become_text():
    atoms = salt()
    atoms.info["group"] = np.int64(7)
    assert read(atoms).group == "7"


# --- isolated atoms -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["IsolatedAtom", "isolated_atom", "IsolatedAtom_pbe"])
def test_an_isolated_atom_needs_its_energy_only(kind):
    atoms = labelled(Atoms("Na"), forces=None, stress=None)
    with pytest.raises(UserError, match="no forces"):
        read(atoms, required=("energy", "forces"))
    atoms.info["config_type"] = kind
    assert Frame.from_atoms(atoms, "").is_isolated_atom
    keys = LabelKeys(stress="dft_stress", group="material_id")
    assert read(atoms, keys).energy == atoms.calc.results["energy"]
    atoms.calc = None
    with pytest.raises(UserError, match="no energy"):
        read(atoms)


def test_what_only_looks_like_an_isolated_atom():
    molecule = water()
    molecule.info["config_type"] = "IsolatedAtom"
    assert not Frame.from_atoms(molecule, "").is_isolated_atom
    assert not Frame.from_atoms(labelled(Atoms("Na")), "").is_isolated_atom
