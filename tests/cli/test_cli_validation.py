import json

import ase.io
import pytest
from ase.build import bulk

from irrepress.evaluation.physics.verdicts import Validated

# A few steps of everything, and time enough on any machine.
SHORT = ("--minutes", 20, "--set", "timestep=4", "--set", "atoms=1", "--set", "picoseconds=0.02")
SHORT += ("--set", "nve_picoseconds=0.2", "--set", "equilibration_picoseconds=0.005")
SHORT += ("--set", "phonon_atoms=4", "--set", "frames=2", "--device", "cpu")


@pytest.fixture
def cell(tmp_path):
    path = tmp_path / "cell.cif"
    ase.io.write(path, bulk("NaCl", "rocksalt", a=5.64))
    return path


def test_a_config_is_sent_to_check_in_one_line(run):
    result = run("validate", "study.yaml")
    assert result.exit_code == 2
    assert result.output.strip().splitlines() == [
        "irrepress: validate study.yaml: a config is checked by 'irrepress check study.yaml' now"
    ]


def test_a_model_without_structures_or_parent_is_refused(run, saved, cell):
    result = run("validate", saved)
    assert (result.exit_code, "name structures" in result.output) == (2, True)
    result = run("validate", saved, cell, "--device", "cpu")
    assert (result.exit_code, "--against" in result.output) == (2, True)
    result = run("validate", saved, cell, "--against", saved, "--set", "tolerances.force=1")
    assert result.exit_code == 2
    assert "tolerances.force" in result.output


@pytest.mark.slow
def test_a_model_is_within_the_tolerances_of_itself(run, saved, card, cell, tmp_path):
    out = tmp_path / "proof"
    arguments = ("validate", saved, cell, "--against", saved, "--temperature", 300, 600)
    result = run(*arguments, "--out", out, *SHORT)
    record = Validated.load(out / "validation.json")
    assert (result.exit_code, record.failures()) == (0, []), result.output
    assert record.settings["temperatures"] == [300, 600]
    assert {"stability at 300 K", "stability at 600 K"} <= {v.quantity for v in record.verdicts}
    assert record.summary() in result.output
    mark = json.loads(card.read_text())["validation"]
    assert (mark["result"], mark["passed"], mark["failed"]) == ("passed", True, [])
    assert not list(out.glob("*.partial"))


@pytest.mark.slow
def test_what_is_not_within_is_told_and_marked_on_the_card(run, saved, card, cell, tmp_path):
    arguments = ("validate", saved, cell, "--against", "7net-0", "--out", tmp_path / "proof")
    result = run(*arguments, *SHORT)
    assert result.exit_code == 1, result.output
    assert "NOT WITHIN" in result.output
    mark = json.loads(card.read_text())["validation"]
    assert mark["result"] == "failed" and not mark["passed"] and mark["failed"]


@pytest.mark.slow
def test_without_time_a_model_is_not_proven(run, saved, card, cell, tmp_path):
    arguments = ("validate", saved, cell, "--against", saved, "--out", tmp_path / "proof")
    result = run(*arguments, "--minutes", 0.001, "--device", "cpu")
    assert result.exit_code == 3, result.output
    assert "what is essential is missing: dynamics at 300 K" in " ".join(result.output.split())
    mark = json.loads(card.read_text())["validation"]
    assert (mark["result"], mark["passed"]) == ("incomplete", False)
