"""How frames and labels are read: each report gives exact labels, or one message."""

import numpy as np
import pytest

from irrepress.core.errors import UserError
from irrepress.data.config import Files
from irrepress.data.convert import store_files
from irrepress.data.reading import read_files
from irrepress.data.store import StructureStore
from irrepress.data.summary.scan import summarize


def refused(path, **config):
    with pytest.raises(UserError) as caught:
        list(read_files(Files(source="files", paths=[str(path)], **config)))
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message


def test_keys_in_lower_case(reports, errors_of):
    path = reports / "lattice-in-lower-case" / "train_capital_properties.xyz"
    keys = {"forces": "force", "stress": "virial"}
    read = errors_of(path, keys=keys, units={"stress": "virial"})
    assert read.is_exact("energy", "forces", "stress")
    assert all(structure.pbc.all() for structure in read.structures)
    assert not read.notes
    unnamed = errors_of(path)
    assert unnamed.is_exact("energy", "forces", "stress")
    assert unnamed.noted("forces taken from the key 'force'") == 8
    assert unnamed.noted("stress taken from 'virial' as -virial/volume") == 8


@pytest.mark.parametrize("name", ["ttf_lower", "ttf_upper", "ttf_joined"])
def test_pbc_as_text(reports, errors_of, name):
    read = errors_of(reports / "pbc-as-text" / f"{name}.extxyz")
    assert read.is_exact("energy", "forces")
    assert all(structure.pbc.tolist() == [True, True, False] for structure in read.structures)


REF = {"energy": "REF_energy", "forces": "REF_forces", "stress": "REF_stress"}


def test_labels_of_weight_zero_are_none(reports, errors_of):
    read = errors_of(reports / "weights-of-zero" / "train.xyz", keys=REF)
    assert read.is_exact("energy", "forces", "stress")
    assert sum(np.isnan(structure.energy) for structure in read.structures) == 4
    assert read.noted("energy of weight zero (config_energy_weight)") == 4
    assert read.noted("stress of weight zero (config_stress_weight)") == 4


def test_forces_in_hartree_per_bohr(reports, errors_of):
    path = reports / "hartree-per-bohr" / "train.extxyz"
    read = errors_of(path, units={"energy": "Hartree", "forces": "Hartree/Bohr"})
    assert read.is_exact("energy", "forces") and not read.noted("set units.forces")
    guessed = errors_of(path, units={"energy": "Hartree"})
    assert guessed.noted("forces taken in Hartree/Å; programs that print Hartree usually") == 1


VASP = {"stress": "kbar", "stress_sign": "vasp"}


def test_stress_in_the_order_of_vasp(reports, errors_of):
    path, keys = reports / "vasp-order-of-stress" / "train.extxyz", {"stress": "virial_stress"}
    units = {**VASP, "stress_order": "xx yy zz xy yz zx"}
    assert errors_of(path, keys=keys, units=units).is_exact("energy", "forces", "stress")
    assert "set units.stress_order to 'xx yy zz xy yz xz'" in refused(path, keys=keys, units=VASP)


def test_heads_are_not_mixed(reports, errors_of):
    path, keys = reports / "two-heads" / "train.xyz", {**REF, "stress": None}
    message = refused(path, keys=keys)
    assert "frame 1: its head is r2scan" in message and "select: {head: pbe}" in message
    read = errors_of(path, keys=keys, select={"head": "pbe"})
    assert read.is_exact("energy", "forces") and len(read.structures) == 4
    assert read.noted("left out: its head is r2scan") == 4
    both = read_files(
        Files(source="files", paths=[str(path)], keys=keys, select={"head": ["pbe", "r2scan"]})
    )
    assert len(list(both)) == 8
    assert "no frame is left (left out: its head is pbe" in refused(
        path, keys=keys, select={"head": "pbesol"}
    )


def test_the_energy_that_forces_belong_to(reports, errors_of):
    path = reports / "energy-and-free-energy" / "train.extxyz"
    told = errors_of(path)
    assert told.errors["energy"] == pytest.approx(0.5 / 8, rel=1e-4)
    assert told.noted("set keys.energy: free_energy") == len(told.structures)
    read = errors_of(path, keys={"energy": "free_energy"})
    assert read.is_exact("energy", "forces", "stress") and not read.notes


def test_a_virial_that_is_not_named(reports, errors_of):
    read = errors_of(reports / "virial-not-named" / "train.xyz")
    assert read.is_exact("energy", "forces", "stress")
    assert read.noted("stress taken from 'virial'") == len(read.structures)


def test_a_stress_of_six_numbers(reports, errors_of):
    read = errors_of(reports / "stress-of-six-numbers" / "stress6.extxyz")
    assert read.is_exact("energy", "forces", "stress")
    assert read.noted("six components of stress taken in the order xx yy zz yz xz xy") == 8


def test_stress_on_some_frames(reports, errors_of):
    path = reports / "stress-on-some-frames" / "train.xyz"
    keys = {"energy": "dft_energy", "forces": "dft_force", "stress": "dft_virial"}
    read = errors_of(path, keys=keys, units={"stress": "virial"})
    assert read.is_exact("energy", "forces", "stress") and len(read.structures) == 12
    assert read.noted("no stress under the key 'dft_virial'") == 8
    keys["stress"] = "dft_viral"
    message = refused(path, keys=keys, units={"stress": "virial"})
    assert "no stress under the key 'dft_viral'" in message and "set keys.stress" in message


def test_energies_only(reports, errors_of):
    read = errors_of(reports / "energies-only" / "ccsd.extxyz")
    assert read.is_exact("energy")
    assert read.noted("no forces") == len(read.structures)


def test_two_sets_of_labels(reports, errors_of):
    path = reports / "two-sets-of-labels" / "train.extxyz"
    told = errors_of(path)
    assert told.noted("energy taken from 'energy', though 'REF_energy' differs") == 8
    assert told.noted("forces taken from 'forces', though 'REF_forces' differs") == 8
    read = errors_of(path, keys={**REF, "stress": None})
    assert read.is_exact("energy", "forces") and not read.notes


def test_two_isolated_atoms_of_an_element(reports):
    message = refused(reports / "two-isolated-atoms" / "train.extxyz")
    assert "the isolated atom Si has -3.5 eV, but" in message and "frame 0 has -0.8 eV" in message


def test_an_unmarked_atom_in_a_box(reports, tmp_path):
    path = reports / "atom-in-a-box" / "atom_in_box_unmarked.xyz"
    split = {"train": 1, "valid": 0, "test": 0}
    config = Files(source="files", paths=[str(path)], split=split)
    store_files(tmp_path / "a.h5", config)
    store = StructureStore(tmp_path / "a.h5")
    (note,) = [n for n in store.info.notes if "not marked as isolated" in n.text]
    assert note.count == 1 and note.first.endswith("frame 0")
    (single,) = [found for found in summarize(store).suspects if found.kind == "single"]
    assert [suspect.index for suspect in single.listed] == [0]


def test_deuterium_is_hydrogen(reports, errors_of):
    read = errors_of(reports / "deuterium" / "d2o.extxyz")
    assert read.is_exact("energy", "forces")
    assert read.noted("D or T taken as hydrogen") == len(read.structures)


def test_stress_of_a_slab(reports, errors_of):
    read = errors_of(reports / "slab-with-stress" / "ttf_stress.extxyz")
    assert read.noted("stress of a structure that is not periodic in three directions") == 4
    assert read.errors["energy"] < 4e-7 and read.errors["forces"] < 2e-7


def test_cells_of_one_atom(reports, errors_of):
    read = errors_of(reports / "cells-of-one-atom" / "eos1.extxyz")
    assert read.is_exact("energy", "forces", "stress") and not read.notes
