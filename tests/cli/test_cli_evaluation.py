import json
from copy import deepcopy
from dataclasses import replace

import ase.io
import numpy as np
import pytest
import torch
from ase.build import bulk

from irrepress.core.structure import Structure
from irrepress.data.layout import StoreInfo
from irrepress.data.notes import Note
from irrepress.data.writing import write_store
from irrepress.evaluation.predictions import label


def test_evaluate_gives_errors_with_units(run, saved, extxyz):
    result = run("evaluate", saved, extxyz, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "meV/atom" in result.output
    errors = json.loads(run("evaluate", saved, extxyz, "--json").output)["errors"]
    assert errors["forces_mae"] > 0
    assert errors["energy_rmse"] >= errors["energy_mae"]


def evaluated(run, *arguments, code=0):
    """What evaluate says as JSON."""
    result = run("evaluate", *arguments, "--device", "cpu", "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_evaluate_names_units_and_counts_labels(run, saved, structures, tmp_path):
    path = tmp_path / "mixed.h5"
    silicon, salt, _ = structures
    slab = replace(salt, pbc=np.array([True, True, False]))
    energy = replace(silicon.without_labels(), energy=silicon.energy)
    info = StoreInfo("a", "b", "c", level_of_theory="PBE", labels="PBE", checksum="")
    write_store(path, [silicon, slab, energy], info, {"test": [0, 1, 2]}, 0)
    found = evaluated(run, saved, path)
    assert found["units"]["errors"] == {"energy": "eV/atom", "forces": "eV/Å", "stress": "eV/Å^3"}
    assert found["labelled"] == {
        "structures": 3,
        "energy": 3,
        "forces": 2,
        "stress": 1,
        "stress_without_volume": 1,
    }
    output = run("evaluate", saved, path, "--device", "cpu").output
    assert "GPa" in output
    assert "labels of 3 structures: energies of 3, forces of 2, stress of 1" in output
    assert "the stress of 1 is not used" in output


def test_evaluate_aligns_all_electron_energies_and_says_so(run, sevennet, tmp_path):
    frames = []
    for seed in range(8):
        atoms = bulk("NaCl", "rocksalt", a=5.64)
        atoms.rattle(0.05, seed=seed)
        frames.append(Structure.unlabelled(atoms))
    labelled = label(sevennet.load("7net-0"), frames)
    moved = [replace(s, energy=s.energy - 17000.0) for s in labelled]
    path = tmp_path / "all-electron.extxyz"
    ase.io.write(path, [s.to_atoms() for s in moved])
    found = evaluated(run, "7net-0", path)
    assert found["errors"]["energy_mae"] < 1e-3
    assert found["alignment"]["unaligned"]["energy_mae"] == pytest.approx(8500, rel=1e-6)
    output = run("evaluate", "7net-0", path, "--device", "cpu").output
    assert "energy, aligned" in output and "energy, not aligned" in output
    assert "energies aligned: 1 constant for the elements, fitted to 8 structures" in output
    assert "from 8,500,000 to" in output
    never = evaluated(run, "7net-0", path, "--align", "never")
    assert never["errors"]["energy_mae"] == pytest.approx(8500, rel=1e-6)


def test_evaluate_names_file_and_frame_of_an_unknown_element(run, saved, structures, tmp_path):
    path = tmp_path / "with-einsteinium.extxyz"
    strange = structures[0].to_atoms()
    strange.numbers[3] = 99
    ase.io.write(path, [structures[1].to_atoms(), strange, strange])
    result = run("evaluate", saved, path, "--device", "cpu")
    assert result.exit_code == 2
    assert "with-einsteinium.extxyz: frame 1 (and 1 more such frames)" in result.stderr
    assert "does not know Es" in result.stderr


def test_evaluate_without_any_label_is_told_before_it_predicts(run, saved, structures, tmp_path):
    path = tmp_path / "bare.h5"
    info = StoreInfo("a", "b", "c", level_of_theory="PBE", labels="PBE", checksum="")
    write_store(path, [s.without_labels() for s in structures], info, {"train": [0, 1, 2]}, 0)
    result = run("evaluate", saved, path, "--device", "cpu")
    assert result.exit_code == 2
    assert "bare.h5: there are no labels to compare with" in result.stderr


def test_evaluate_of_a_model_that_predicts_nan_fails(run, small_sevennet, extxyz, tmp_path):
    model = deepcopy(small_sevennet)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e20)
    model.save(tmp_path / "broken.pt")
    result = run("evaluate", tmp_path / "broken.pt", extxyz, "--device", "cpu")
    assert result.exit_code == 1
    assert "not finite" in result.stdout and "no labels" not in result.stdout
    assert "broken.pt: the predicted energy and forces and stress of 3" in result.stderr
    found = evaluated(run, tmp_path / "broken.pt", extxyz, code=1)
    assert found["failures"]["structures"] == 3


@pytest.mark.parametrize(
    ("case", "options", "counts"),
    [
        ("energies-only/ccsd.extxyz", "", {"forces": 0, "stress": 0}),
        (
            "stress-on-some-frames/train.xyz",
            "--energy-key dft_energy --forces-key dft_force --stress-key dft_virial "
            "--unit stress=virial",
            {"forces": 12, "stress": 4},
        ),
        ("slab-with-stress/ttf_stress.extxyz", "", {"stress": 0, "stress_without_volume": 4}),
    ],
)
def test_evaluate_compares_with_the_labels_that_are_there(run, shared_data, case, options, counts):
    """Labelled by SevenNet-0: no error in what can be compared."""
    found = evaluated(run, "7net-0", shared_data / "reports" / case, *options.split())
    labelled, errors = found["labelled"], found["errors"]
    assert {name: labelled[name] for name in counts} == counts
    assert labelled["energy"] == labelled["structures"]
    for name, limit in (("energy", 1e-5), ("forces", 1e-4), ("stress", 1e-5)):
        error = errors[f"{name}_mae"]
        assert error < limit if labelled[name] else error is None


def test_evaluate_tells_what_was_noticed(run, saved, structures, tmp_path):
    path = tmp_path / "own.h5"
    info = StoreInfo("a", "b", "c", level_of_theory="PBE", labels="PBE", checksum="")
    info = replace(info, notes=[Note("D taken as hydrogen", 3, "a.xyz: frame 1")])
    write_store(path, structures, info, {"train": [0, 1, 2]}, 0)
    output = run("evaluate", saved, path, "--device", "cpu").output
    assert "note: D taken as hydrogen (3 times, first in a.xyz: frame 1)" in output
    (note,) = json.loads(run("evaluate", saved, path, "--device", "cpu", "--json").output)["notes"]
    assert note == {"text": "D taken as hydrogen", "count": 3, "first": "a.xyz: frame 1"}


def test_evaluate_takes_units_and_chosen_frames(run, saved, structures, tmp_path):
    lines = []
    for head, factor in (("pbe", 1.0), ("r2scan", 3.0)):
        atoms = structures[0].to_atoms()
        atoms.calc.results = {
            "energy": atoms.calc.results["energy"] / 27.21138602 * factor,
            "forces": atoms.calc.results["forces"] / 51.42206707 * factor,
        }
        atoms.info["head"] = head
        lines.append(atoms)
    path, right = tmp_path / "hartree.extxyz", tmp_path / "right.extxyz"
    ase.io.write(path, lines)
    ase.io.write(right, structures[0].to_atoms())
    expected = json.loads(run("evaluate", saved, right, "--json").stdout)["errors"]
    options = ["--unit", "energy=Hartree", "--unit", "forces=Hartree/Bohr", "--json"]
    content = json.loads(run("evaluate", saved, path, *options, "--select", "head=pbe").stdout)
    for name in ("energy_mae", "forces_mae"):
        assert content["errors"][name] == pytest.approx(expected[name], rel=1e-4)
    assert [note["text"] for note in content["notes"]] == ["left out: its head is r2scan"]
    mixed = run("evaluate", saved, path, *options)
    assert mixed.exit_code == 2 and "its head is r2scan" in mixed.output
    for wrong, message in (("energy=Hartre", "units.energy"), ("energy", "expected NAME=VALUE")):
        result = run("evaluate", saved, path, "--unit", wrong)
        assert result.exit_code == 2 and message in result.output, result.output
