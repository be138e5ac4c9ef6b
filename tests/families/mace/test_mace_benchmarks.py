"""The benchmarks of MACE run; what they measure is not asserted, machines differ."""

import subprocess
import sys
from pathlib import Path

import ase.io
import pandas as pd
import pytest
import torch
import yaml
from ase.build import bulk, molecule

# Not "mace" alone: that is the name of this folder, too.
pytest.importorskip("mace.modules", reason="MACE is not installed in this environment")
pytest.importorskip("snakemake", reason="Snakemake is not installed in this environment")

from irrepress.core.structure import Structure
from irrepress.evaluation.predictions import label

# A busy machine may need several times the minutes that they take on a free one.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
SHORT = {"steps": 2, "validate_every": 1, "batch_size": 2}


@pytest.fixture
def checkpoint(network_maker, tmp_path):
    """A small model with random weights."""
    path = tmp_path / "large.model"
    torch.save(network_maker(), path)
    return path


def write_frames(mace, checkpoint, path, cells):
    """Write rattled frames with labels by the model, slightly off."""
    model = mace.load(checkpoint)
    structures = []
    for seed, atoms in enumerate(cells):
        atoms.rattle(0.1, seed=seed)
        structures.append(Structure.unlabelled(atoms))
    labelled = label(model, structures)
    ase.io.write(path, [each.to_atoms() for each in labelled])


def run(script, *arguments, config):
    """Run a benchmark with less work than it does by default."""
    path = Path(arguments[-1]) / "less.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [sys.executable, BENCHMARKS / script, "--config", path, "--cores", "1", *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_one_system_is_made_smaller(mace, checkpoint, tmp_path):
    frames = [bulk("Si", cubic=True) for _ in range(10)]
    write_frames(mace, checkpoint, tmp_path / "frames.extxyz", frames)
    twins = ase.io.read(tmp_path / "frames.extxyz", ":")
    ase.io.write(tmp_path / "frames.extxyz", [*twins, twins[3]])
    config = {
        "device": "cpu",
        "datasets": {"perturbed": {"count": 4}},
        "scoring": {"structures": 2},
        "sweep": {"explicit": {"small": {"irreps": "4x0e", "filter_lmax": 2}}},
        "compensation": {"structures": 5},
        "distillation": SHORT,
        "downstream": {"training": SHORT},
        "evaluation": {"timing_atoms": 8, "timing_repeats": 1},
    }
    arguments = ["--checkpoint", checkpoint, "--frames", tmp_path / "frames.extxyz"]
    arguments += ["--same", "0.05", "--repeats", "1", "--out", tmp_path / "out"]
    run("gst.py", *arguments, config=config)
    table = pd.read_csv(tmp_path / "out" / "gst.csv").set_index("model")
    assert list(table.index) == ["parent", "pruned", "compensated", "distilled", "fine-tuned"]
    assert table.loc["fine-tuned", "parameters"] < table.loc["parent", "parameters"]
    assert table.filter(like="s for 8 atoms").gt(0).all(axis=None)
    # The frame that is there twice is in one part only.
    split = pd.read_csv(tmp_path / "out" / "split.csv")
    assert split["group"].nunique() == 10
    assert split["part"][3] == split["part"][10]
    assert set(split["part"]) == {"train", "valid", "test"}


def test_molecules_are_fine_tuned_and_trained_from_scratch(mace, checkpoint, tmp_path):
    for part, count in (("train", 8), ("test", 3)):
        cells = [molecule("CH3CH2OH") for _ in range(count)]
        write_frames(mace, checkpoint, tmp_path / f"ethanol-{part}.extxyz", cells)
    config = {
        "datasets": {
            "taught": {"of": "ethanol", "count": 4},
            "ethanol": {"counts": {"train": 4, "valid": 2, "test": 2}},
        },
        "scoring": {"dataset": "ethanol", "structures": 2},
        "sweep": {"explicit": {"half": {"irreps": "4x0e", "filter_lmax": 2}}},
        "compensation": {"structures": 5},
        "distillation": SHORT,
        "export": {"dtypes": ["float64"], "stages": ["distilled"]},
        "downstream": {"datasets": ["ethanol"], "training": SHORT},
        "evaluation": {"dataset": "ethanol", "timing_atoms": 8, "timing_repeats": 1},
    }
    arguments = ["--checkpoint", checkpoint, "--frames", tmp_path, "--out", tmp_path / "out"]
    printed = run("rmd17.py", *arguments, config=config)
    assert "less than from scratch (the paper, elsewhere: 70.1 %)" in printed
    table = pd.read_csv(tmp_path / "out" / "rmd17.csv").set_index("molecule")
    assert list(table.index) == ["ethanol", "mean"]
    assert table.loc["ethanol", "forces from scratch [meV/Å]"] > 0
    whole = sum(p.numel() for p in torch.load(checkpoint, weights_only=False).parameters())
    restricted = table.loc["ethanol", "parameters restricted parent"]
    assert table.loc["ethanol", "parameters fine-tuned compressed"] < restricted < whole
    exported = tmp_path / "out/results/rmd17/large/taylor-half/distilled-float64"
    network = torch.load(exported / "model.pt", weights_only=False)
    assert next(network.parameters()).dtype == torch.float64
    assert (exported / "metrics.json").is_file()
