"""The command that deploys a model."""

import json

from ase.build import bulk
from ase.io import write


def test_a_model_is_deployed_and_checked_on_given_structures(run, saved, tmp_path):
    write(tmp_path / "frames.extxyz", [bulk("Si"), bulk("Ge")])
    options = ("--check", tmp_path / "frames.extxyz", "--minutes", 0, "--device", "cpu")
    out = tmp_path / "deployed"
    result = run("deploy", saved, "--to", "torchscript", "--out", out, *options)
    assert result.exit_code == 0, result.output
    assert f"for TorchScript: {out}" in result.output.replace("\n", " ")
    assert "checked on 2 structures by check.py in torch" in result.output
    record = json.loads((out / "deployment.json").read_text())
    assert record["golden"] == ["Si2", "Ge2"] and record["times"] == []
    assert json.loads((out / "card.json").read_text())["family"] == "sevennet"

    again = run("deploy", saved, "--to", "torchscript", "--out", out, *options)
    assert again.exit_code == 2 and "exists already" in again.output
    other = run("deploy", saved, "--to", "symmetrix", "--out", tmp_path / "other")
    assert other.exit_code == 2 and "not of sevennet; choose --to native" in other.output
