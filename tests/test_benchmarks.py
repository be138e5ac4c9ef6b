"""Benchmarks run; what they measure is not asserted, machines differ."""

import json
import subprocess
import sys
from pathlib import Path

import ase.io
import pandas as pd
import pytest
from ase.build import bulk

from irrepress.evaluation.predictions import label
from irrepress.structures.structure import Structure

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
def test_the_benchmark_of_the_store():
    pytest.importorskip("sevenn", reason="SevenNet is not installed in this environment")
    arguments = ["--count", "40", "--repeats", "1", "--large", "600", "--steps", "1", "--json"]
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "store.py", *arguments, "--batch-size", "2"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result["against MACE's HDF5"]["ratio"]) == {"write", "random read", "size"}
    assert result["conversion"]["frames"] == 600
    assert all(0 < share < 1 for share in result["training waits"]["share of step"].values())


@pytest.mark.slow
def test_the_benchmark_of_pruning(sevennet, tmp_path):
    frames = []
    for index, symbol in enumerate(["Si", "Cu", "Al", "Ge", "Ag", "Au", "Pd", "Pt", "C", "Ni"]):
        atoms = bulk(symbol)
        atoms.rattle(0.05, seed=index)
        frames.append(Structure.unlabelled(atoms))
    labelled = label(sevennet, sevennet.load("7net-0"), frames, device="cpu")
    ase.io.write(tmp_path / "frames.extxyz", [each.to_atoms() for each in labelled])
    arguments = ["--kept", "0.5", "--criteria", "magnitude", "random", "--iterated"]
    arguments += ["--compensated", "magnitude/uniform", "--blocks", "4", "--device", "cpu"]
    arguments += ["--frames", tmp_path / "frames.extxyz", "--out", tmp_path]
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "pruning.py", *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert set(pd.read_csv(tmp_path / "ranks.csv")["criterion"]) == {"magnitude", "random"}
    damage = pd.read_csv(tmp_path / "damage.csv")
    assert len(damage) == 5  # two criteria by two allocations, and one of them compensated
    assert damage["energy [meV/atom]"].gt(0).all()
    parts = pd.read_csv(tmp_path / "split.csv")
    assert not set(parts["formula"][parts["part"] == "test"]) & set(
        parts["formula"][parts["part"] == "calibration"]
    )
