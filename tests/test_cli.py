import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase.build import bulk
from typer.testing import CliRunner

from irrepress.cli import app
from irrepress.core.structure import Structure
from irrepress.data.layout import StoreInfo
from irrepress.data.notes import Note
from irrepress.data.writing import write_store
from irrepress.evaluation.predictions import label
from irrepress.quantization.packing import pack
from irrepress.study.cards import parent_card, read_card, write_card


@pytest.fixture(scope="module")
def run():
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def saved(sevennet, small_sevennet, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.pt"
    sevennet.save(small_sevennet, path)
    return path


@pytest.fixture
def extxyz(structures, tmp_path):
    path = tmp_path / "own.extxyz"
    ase.io.write(path, [s.to_atoms() for s in structures])
    return path


def test_inspect_shows_the_model(run, saved, small_sevennet):
    result = run("inspect", saved)
    assert result.exit_code == 0, result.output
    assert "16x0e+8x1e+4x2e" in result.output
    assert "features.2.1e" in result.output
    content = json.loads(run("inspect", saved, "--json").output)
    assert content["parameters"] == small_sevennet.parameter_count()
    assert content["family"] == "sevennet"


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
    assert "a stress that is not used on 1" in output


def test_evaluate_aligns_all_electron_energies_and_says_so(run, sevennet, tmp_path):
    frames = []
    for seed in range(8):
        atoms = bulk("NaCl", "rocksalt", a=5.64)
        atoms.rattle(0.05, seed=seed)
        frames.append(Structure.unlabelled(atoms))
    labelled = label(sevennet, sevennet.load("7net-0"), frames, device="cpu")
    moved = [replace(s, energy=s.energy - 17000.0) for s in labelled]
    path = tmp_path / "all-electron.extxyz"
    ase.io.write(path, [s.to_atoms() for s in moved])
    found = evaluated(run, "7net-0", path)
    assert found["errors"]["energy_mae"] < 1e-3
    assert found["alignment"]["unaligned"]["energy_mae"] == pytest.approx(8500, rel=1e-6)
    output = run("evaluate", "7net-0", path, "--device", "cpu").output
    assert "energy, aligned" in output and "energy, as it is" in output
    assert "energies aligned: 1 constant of the elements, fitted to 8 structures" in output
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
    assert "bare.h5: there is nothing to compare with" in result.stderr


def test_evaluate_of_a_model_that_predicts_nan_fails(
    run, sevennet, small_sevennet, extxyz, tmp_path
):
    model = deepcopy(small_sevennet)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e20)
    sevennet.save(model, tmp_path / "broken.pt")
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


def test_summarize_tells_what_a_store_holds(run, structures, tmp_path):
    path = tmp_path / "own.h5"
    info = StoreInfo("a", "b", "c", level_of_theory="PBE", labels="PBE", checksum="")
    info = replace(info, notes=[Note("D taken as hydrogen", 3, "a.xyz: frame 1")])
    write_store(path, [*structures, structures[0]], info, {"train": [0, 1], "test": [2, 3]}, 0)
    result = run("summarize", path)
    assert result.exit_code == 0, result.output
    for text in (
        "4 with",
        "crystals 3, molecules 1",
        "duplicate",
        "of structure 0 (train)",
        "D taken as",
    ):
        assert text in result.output
    content = json.loads(run("summarize", path, "--json").output)
    assert (content["structures"], content["suspicious"]) == (4, 1)
    missing = run("summarize", tmp_path / "none.h5")
    assert missing.exit_code == 2 and "no such store" in missing.output


def test_validate_lists_what_a_config_computes(run):
    result = run("validate", Path(__file__).parents[1] / "config" / "quickstart.yaml", "--conda")
    assert result.exit_code == 0, result.output
    assert "taylor-0.50" in result.output


@pytest.fixture
def card(saved):
    """The card beside the saved model, for the time of a test."""
    path = saved.parent / "card.json"
    content = parent_card(
        name="x",
        model_path=saved,
        family="sevennet",
        checkpoint="7net-0",
        checkpoint_sha256="0" * 64,
        shape={},
        parameters=1,
        licence=None,
        modal=None,
        seed=0,
    )
    write_card(path, content)
    yield path
    path.unlink()


def test_card_prints_the_card_beside_a_model(run, saved, card):
    assert json.loads(run("card", saved).output) == read_card(card)


def test_a_model_that_is_not_the_cards_is_looked_at_with_a_warning(run, saved, card, extxyz):
    write_card(card, read_card(card) | {"sha256": "1" * 64})
    for command in (["inspect", saved], ["evaluate", saved, extxyz, "--device", "cpu"]):
        result = run(*command, "--json")
        assert result.exit_code == 0, result.output
        assert "warning: " in result.stderr and "1" * 64 in result.stderr
        json.loads(result.stdout)


@pytest.mark.parametrize("content", ['{"made by": "another program"}', "[]", "{"])
def test_a_card_of_another_program_is_left_aside(run, saved, content):
    path = saved.parent / "card.json"
    path.write_text(content)
    try:
        result = run("inspect", saved, "--json")
    finally:
        path.unlink()
    assert result.exit_code == 0, result.output
    assert "card.json: not a card of irrepress, left aside" in result.stderr
    assert json.loads(result.stdout)["family"] == "sevennet"


def test_unpack_gives_a_native_model(run, sevennet, small_sevennet, tmp_path):
    packed, output = tmp_path / "packed.pt", tmp_path / "model.pt"
    pack(sevennet, small_sevennet, packed)
    result = run("unpack", packed, output)
    assert result.exit_code == 0, result.output
    assert sevennet.load(output).parameter_count() == small_sevennet.parameter_count()


def test_export_writes_a_native_model(run, saved, sevennet, tmp_path):
    output = tmp_path / "exported.pt"
    result = run("export", saved, output, "--dtype", "float32")
    assert result.exit_code == 0, result.output
    expected = sevennet.load(saved).state_dict()
    for name, tensor in sevennet.load(output).state_dict().items():
        assert tensor.equal(expected[name]), name
    wrong = run("export", saved, output, "--dtype", "float23")
    assert wrong.exit_code == 2 and "float23" in wrong.output
    wrong = run("export", saved, output, "--dtype", "float64")
    assert wrong.exit_code == 2 and "hold float32 only" in wrong.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("inspect", "absent.pt"), "absent.pt"),
        (("inspect", "7net-0", "--family", "sevenet"), "did you mean 'sevennet'"),
        (("evaluate", "7net-0", "absent.extxyz"), "absent.extxyz"),
        (("validate", "absent.yaml"), "absent.yaml: cannot be read"),
        (("card", "absent.pt"), "card.json: cannot be read"),
        (("unpack", "absent.pt", "model.pt"), "absent.pt: no such file"),
    ],
)
def test_a_mistake_is_one_message_without_traceback(run, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_datasets_lists_what_a_config_can_name(run):
    listed = run("datasets").output
    assert "mptrj" in listed and "rmd17-aspirin" in listed and "accept)" in listed
    one = run("datasets", "rmd17-aspirin")
    assert one.exit_code == 0, one.output
    assert "CC0" in one.output and "figshare" in one.output
    (entry,) = json.loads(run("datasets", "rmd17-aspirin", "--json").output)
    assert entry["counts"] == {"train": 50, "valid": 950}
    wrong = run("datasets", "rmd17-asprin")
    assert wrong.exit_code == 2
    assert "did you mean 'rmd17-aspirin'" in wrong.output


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
