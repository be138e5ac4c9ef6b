"""Several families in one study, and models that it trains from scratch."""

import json
import os
import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml

from irrepress.data.store import StructureStore
from irrepress.study.cards import Card
from irrepress.study.environments import find_environments

from .runs import ROOT, TINY, command, environment, without_conda

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

FAMILIES = ROOT / "config" / "families.yaml"
# Answers what Snakemake asks conda before a dry run, and does nothing else.
CONDA = """#!/bin/sh
case "$*" in
    *--version*) echo "conda 25.1.0" ;;
    *info*--json*) echo '{"conda_prefix": "/c", "root_prefix": "/c", "platform": "linux-64"}' ;;
    *channel_priority*) echo '{"get": {"channel_priority": "strict"}}' ;;
    *) echo "$0 $*: not answered" >&2; exit 1 ;;
esac
"""


def with_conda(directory: Path) -> dict[str, str]:
    """The environment of a run that finds a stand-in for conda, which makes no environments."""
    tools = directory / "tools"
    tools.mkdir()
    (tools / "conda").write_text(CONDA)
    (tools / "conda").chmod(0o755)
    variables = environment()
    return variables | {"PATH": f"{tools}{os.pathsep}{variables['PATH']}"}


def test_three_families_run_side_by_side_each_in_its_environment(tmp_path):
    done = subprocess.run(
        command(tmp_path, "--dry-run", "--sdm", "conda", config=FAMILIES),
        env=with_conda(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    config = yaml.safe_load(FAMILIES.read_text())
    families = {model["family"] for model in config["models"].values()}
    assert families == {"escn", "mace", "sevennet"}
    created = set(re.findall(r"environment (\S+/envs/\w+\.yaml) will be created", output))
    expected = {f"{family}.yaml" for family in (*families, "workflow")}
    assert {Path(path).name for path in created} == expected
    counts = dict(re.findall(r"^([\w-]+) +(\d+)$", output, flags=re.MULTILINE))
    assert (counts["parent"], counts["untrained"]) == ("1", "2")
    trained = {
        f"train_from_scratch_{name}" for name, m in config["models"].items() if "training" in m
    }
    assert len(trained) == 2 and all(counts[rule] == "1" for rule in trained)
    assert counts["prune"] == str(3 * 4) and counts["fine_tune"] == str(3 * 3 * 2)
    assert counts["report"] == "1"


def test_families_that_no_python_has_are_told_before_any_job(tmp_path):
    """MACE and SevenNet exclude each other: without its own environment one is missing."""
    lacking = find_environments(["escn", "mace", "sevennet"]).lacking
    done = subprocess.run(
        command(tmp_path, "--dry-run", config=FAMILIES),
        env=environment() | without_conda(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert (done.returncode != 0) == bool(lacking)
    told = re.findall(r": the family '(\w+)' needs the package.* run 'make setup-", done.stderr)
    assert set(told) == set(lacking) and len(told) == len(lacking)
    assert not (tmp_path / "results").exists()


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    """The config of a tiny study that trains its only model itself."""
    pytest.importorskip("sevenn", reason="SevenNet is not installed in this environment")
    content = yaml.safe_load(TINY.read_text())
    training = {"dataset": "foundation", "steps": 6, "batch_size": 4, "validate_every": 2}
    small = {"channel": 8, "lmax": 1, "num_convolution_layer": 2, "cutoff": 4.0}
    content["models"] = {"mine": {"family": "sevennet", "untrained": small, "training": training}}
    content["sweep"] |= {"explicit": {}}
    content |= {"train_plans": [], "downstream": None}
    for section in ("compensation", "recovery", "distillation", "quantization"):
        content[section] = None
    path = tmp_path_factory.mktemp("scratch") / "config.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    return path


@pytest.mark.timeout(1200)
def test_a_model_trained_from_scratch_is_the_parent(snakemake, scratch, tmp_path):
    parent = "results/tiny/mine/parent/original"
    done = snakemake(tmp_path, f"{parent}/metrics.json", config=scratch)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / parent
    curve = pd.read_csv(folder / "training.csv")
    assert curve["step"].tolist() == [0, 2, 4, 6]
    assert curve["valid_loss"].iloc[-1] < curve["valid_loss"].iloc[0]
    start = Card.load(folder.parent / "untrained/card.json")
    card = Card.load(folder / "card.json")
    assert start.checkpoint == card.checkpoint == "trained from scratch"
    assert start.stages == [] and start.sha256 != card.sha256 == card.parent_sha256
    assert card.shape["irreps"][1] == "8x0e+8x1e" and card.shape["layers"] == 2
    (stage,) = card.stages
    assert stage["stage"] == "trained" and stage["dataset"] == "foundation"
    assert not (folder / ".checkpoints").exists()
    metrics = json.loads((folder / "metrics.json").read_text())
    # Reference energies are the data's: without them, errors are several eV for each atom.
    assert metrics["errors"]["labels"]["energy_mae"] < 1
    store = StructureStore(tmp_path / "results/tiny/data/foundation.h5")
    assert card.shape["elements"] == len(store.elements)


def test_settings_that_are_none_are_told_before_any_job(snakemake, scratch, tmp_path):
    target = "results/tiny/mine/parent/untrained/model.pt"
    change = "models={mine: {untrained: {chanel: 8}}}"
    done = snakemake(tmp_path, target, "--config", change, config=scratch)
    assert done.returncode != 0
    (told,) = [line for line in done.stderr.splitlines() if "untrained.chanel" in line]
    assert "models.mine.untrained.chanel: " in told and "did you mean 'channel'" in told
    assert not (tmp_path / "results").exists()
