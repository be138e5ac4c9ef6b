"""Benchmarks run; what they measure is not asserted, machines differ."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
import pytest
import yaml
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from irrepress.core.structure import Structure
from irrepress.evaluation.predictions import label

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
def test_the_benchmark_of_the_store(tmp_path):
    pytest.importorskip("sevenn", reason="SevenNet is not installed in this environment")
    arguments = ["--count", "40", "--repeats", "1", "--large", "600", "--steps", "1", "--json"]
    arguments += ["--batch-size", "2", "--out", tmp_path / "store.csv"]
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "store.py", *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result["against MACE's HDF5"]["ratio"]) == {"write", "random read", "size"}
    assert result["conversion"]["frames"] == 600
    assert all(0 < share < 1 for share in result["training waits"]["share of step"].values())
    table = pd.read_csv(tmp_path / "store.csv", index_col=0)
    ratio = table.loc["size [bytes/frame]", "ratio"]
    assert ratio == pytest.approx(result["against MACE's HDF5"]["ratio"]["size"])
    assert table.loc["600 frames of extxyz, converted [frames/s]", "store"] > 0


@pytest.mark.slow
def test_the_benchmark_of_pruning(sevennet, tmp_path):
    frames = []
    for index, symbol in enumerate(["Si", "Cu", "Al", "Ge", "Ag", "Au", "Pd", "Pt", "C", "Ni"]):
        atoms = bulk(symbol)
        atoms.rattle(0.05, seed=index)
        frames.append(Structure.unlabelled(atoms))
    labelled = label(sevennet.load("7net-0"), frames)
    ase.io.write(tmp_path / "frames.extxyz", [each.to_atoms() for each in labelled])
    arguments = ["--kept", "0.5", "--criteria", "magnitude", "random", "--iterated"]
    arguments += ["--measured", "magnitude", "--trial-frames", "2"]
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
    # Two criteria by two allocations, one of them compensated, and one tried.
    assert len(damage) == 6
    assert set(damage["allocation"]) == {"uniform", "greedy", "measured"}
    assert damage["energy [meV/atom]"].gt(0).all()
    parts = pd.read_csv(tmp_path / "split.csv")
    assert not set(parts["formula"][parts["part"] == "test"]) & set(
        parts["formula"][parts["part"] == "calibration"]
    )


@pytest.mark.slow
def test_the_benchmark_of_recovery(sevennet, tmp_path):
    parent = sevennet.load("7net-0")
    for name, seeds in (("train", range(30)), ("test", range(30, 34))):
        frames = [bulk("Si") for _ in seeds]
        for atoms, seed in zip(frames, seeds, strict=True):
            atoms.rattle(0.05, seed=seed)
        structures = [Structure.unlabelled(atoms, group=str(i)) for i, atoms in enumerate(frames)]
        labelled = label(parent, structures)
        ase.io.write(tmp_path / f"{name}.extxyz", [each.to_atoms() for each in labelled])
    arguments = ["--frames", tmp_path / "train.extxyz", "--test", tmp_path / "test.extxyz"]
    arguments += ["--checkpoint", "7net-0", "--irreps", "16x0e+8x1e+4x2e", "--perturbed", "8"]
    arguments += ["--between", "32x0e+16x1e+8x2e", "--steps", "3", "--longer", "2"]
    arguments += ["--recipes", "taught first, by", "gradual", "from scratch,", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "recovery.py", *arguments, "--out", tmp_path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "recovery.csv").set_index("recipe")
    assert len(table) == 3
    assert table["forces test [meV/Å]"].gt(0).all()
    curves = {path.name: pd.read_csv(path) for path in (tmp_path / "curves").iterdir()}
    assert curves["from-scratch,-2-times-the-steps.csv"]["step"].max() == 6
    assert curves["gradual.between.csv"]["step"].max() == 1
    assert curves["gradual.csv"]["step"].max() == 2


@pytest.mark.slow
def test_the_benchmark_of_training_large_and_pruning(tmp_path):
    pytest.importorskip("fairchem.core", reason="fairchem-core is not installed")
    for name, seeds in (("train", range(20)), ("test", range(20, 23))):
        frames = [bulk("Cu", cubic=True) for _ in seeds]
        for atoms, seed in zip(frames, seeds, strict=True):
            atoms.rattle(0.05, seed=seed)
            atoms.calc = EMT()
            found = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
            atoms.calc = SinglePointCalculator(atoms, **found)
        ase.io.write(tmp_path / f"{name}.extxyz", frames)
    settings = {"sphere_channels": 16, "hidden_channels": 16, "edge_channels": 16, "cutoff": 3.0}
    arguments = ["--frames", tmp_path / "train.extxyz", "--test", tmp_path / "test.extxyz"]
    arguments += ["--settings", json.dumps(settings), "--steps", "2", "--recovery", "3"]
    arguments += ["--calibration", "5", "--device", "cpu", "--out", tmp_path]
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "train_then_prune.py", *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "train_then_prune.csv").set_index("model")
    assert list(table.index[:4]) == ["large", "pruned", "compensated", "recovered"]
    assert table.loc["recovered", "compute"] == 1
    equal = table.loc["small, equal compute"]
    assert 0.8 < equal["compute"] <= 1 and equal["steps"] > table.loc["recovered", "steps"]
    assert equal["parameters"] == table.loc["pruned", "parameters"]
    assert "| recovered" in done.stdout


@pytest.mark.slow
def test_the_benchmark_without_labels(sevennet, tmp_path):
    settings = {
        "model": "7net-0",
        "systems": {
            "copper": {
                "build": {
                    "spacegroup": 225,
                    "cell": [3.61] * 3 + [90] * 3,
                    "symbols": ["Cu"],
                    "sites": [[0, 0, 0]],
                },
                "temperatures": [300],
            }
        },
        "tiers": {"small": 6},
        "changes": {
            "device": "cpu",
            "sweep": {"unit": "flops"},  # shapes need not be timed
            "scoring": {"structures": 2},
            "compensation": {"structures": 5},
            "distillation": {"steps": 4, "validate_every": 2},
            "evaluation": {"timing_atoms": 8, "timing_repeats": 1},
            "validation": {"minutes": 0.3, "parent_minutes": 0.3, "atoms": 4},
        },
        "datasets": {
            "sampled": {"runs": 14, "count": 28, "atoms": 4, "equilibration": 1, "steps": 4},
            "strained": {"count": 4, "atoms": 4},
        },
    }
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, BENCHMARKS / "no_labels.py", "--out", tmp_path, "--cores", "1"]
    done = subprocess.run(
        [*command, "--settings", tmp_path / "settings.yaml"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    (row,) = pd.read_csv(tmp_path / "no_labels.csv").to_dict("records")
    assert (row["system"], row["tier"], row["temperature [K]"]) == ("copper", "small", 300)
    assert row["forces [%]"] > 0 and row["layers"] == 5
    stages = pd.read_csv(tmp_path / "no_labels_stages.csv")
    assert list(stages["stage"]) == ["compensated", "distilled"]
    assert stages["forces [%]"].iloc[-1] == row["forces [%]"]
    (row,) = pd.read_csv(tmp_path / "no_labels_times.csv").to_dict("records")
    assert row["ends"] == "distilled" and row["sampling [CPU min]"] > 0


@pytest.mark.slow
def test_the_benchmark_of_runtimes(sevennet, tmp_path):
    arguments = ["--models", "7net-0", "--atoms", "8", "--rounds", "1"]
    done = subprocess.run(
        [
            sys.executable,
            BENCHMARKS / "runtimes.py",
            *arguments,
            "--out",
            tmp_path / "runtimes.csv",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "runtimes.csv")
    assert list(table["runtime"]) == ["sevenn get_model", "irrepress, TorchScript"]
    assert table["faster"].iloc[0] == 1 and (table["time [ms]"] > 0).all()
    assert (table["error of forces"] < 1e-5).all()
    assert (table["memory [MB]"].isna() | (table["memory [MB]"] >= 0)).all()


@pytest.mark.slow
def test_the_benchmark_of_runtimes_finds_the_atoms_that_fit(sevennet, tmp_path):
    command = [sys.executable, BENCHMARKS / "runtimes.py", "--memory", "4", "--models", "7net-0"]
    command += ["--seconds", "0", "--out", tmp_path / "memory.csv"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    table = pd.read_csv(tmp_path / "memory.csv").set_index("runtime")
    assert list(table.index) == ["sevenn get_model", "irrepress, TorchScript"]
    assert (table["atoms in 4 GB"] > table["largest measured [atoms]"]).all()
    assert table["its peak [GB]"].lt(4).all()


@pytest.mark.slow
def test_the_benchmark_of_precision(sevennet, tmp_path):
    command = [sys.executable, BENCHMARKS / "precision.py", "--model", "7net-0"]
    command += ["--irreps", "16x0e+8x1e", "--filter-lmax", "1", "--structures", "12"]
    command += ["--atoms", "8", "--steps", "4", "--rounds", "1", "--name", "tiny"]
    command += ["--out", tmp_path / "precision.csv"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    table = pd.read_csv(tmp_path / "precision.csv").set_index(["runtime", "precision"])
    assert table.index.get_level_values("runtime").unique().tolist() == [
        "family's own",
        "TorchScript",
    ]
    for runtime in ("family's own", "TorchScript"):
        exact, single = (table.loc[(runtime, name)] for name in ("float64", "float32"))
        assert exact["faster"] == 1 and exact["error of rotation"] < 1e-10
        assert exact["error of forces"] < single["error of forces"] < 1e-3
        assert np.isfinite(single["drift [meV/atom/ps]"])
    failed = table[table["time [ms]"].isna()]
    assert failed["note"].str.startswith("does not run: ").all()


def test_sentences_follow_from_the_recorded_figures(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    sayings = importlib.import_module("sayings")
    rows = [
        ("float64", 1.0, 0.0, None),
        ("float32", 1.5, 1e-6, None),
        ("bfloat16 autocast", None, None, "does not run: types differ"),
        ("bfloat16 throughout", 0.9, 0.2, None),
    ]
    columns = ["precision", "faster", "error of forces", "note"]
    table = pd.DataFrame(rows, columns=columns).assign(model="small", runtime="TorchScript")
    assert sayings.precision(table) == (
        "- **small, TorchScript:** float32 is 1.5 times as fast as float64, forces off by 1e-06 of "
        "the largest; bfloat16 autocast does not run; bfloat16 throughout brings no speed (0.9 "
        "times that of float64), forces off by 0.2 of the largest, of no use."
    )
    slower = table[table["precision"].isin(["float64", "float32"])].assign(faster=1.0)
    assert "float32 brings no speed (1 times that of float64)" in sayings.precision(slower)
    equal = table.assign(faster=[1.0, 1.5, None, 1.5])
    assert "throughout brings no speed beyond float32 (1.5 times as fast" in sayings.precision(
        equal
    )
    fits = {"model": ["a", "b"], "runtime": "r", "atoms in 8 GB": [1234, 5000]}
    assert sayings.memory(pd.DataFrame(fits)).splitlines() == [
        "- **a, r:** 1,200 atoms in 8 GB.",
        "- **b, r:** 5,000 atoms in 8 GB, 4.1 times as many.",
    ]


@pytest.mark.slow
def test_the_benchmark_for_gpus_tries_its_codes_on_a_cpu(sevennet, tmp_path):
    command = [sys.executable, BENCHMARKS / "gpu.py", "--models", "7net-0", "--device", "cpu"]
    command += ["--atoms", "8", "--rounds", "1", "--batch", "2", "--out", tmp_path / "gpu.csv"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "gpu.csv").set_index("code")
    assert {"family's own", "irrepress"} <= set(table.index)
    assert table.loc["family's own", "faster"] == 1 and (table["time [ms]"] > 0).all()
    assert (table["difference of forces"] < 1e-4).all() and table["memory [MB]"].isna().all()
    for name in ("cuEquivariance", "OpenEquivariance", "FlashTP"):
        assert name in table.index or f"7net-0: {name} " in done.stdout


@pytest.mark.slow
def test_the_benchmark_of_quantization(sevennet, tmp_path):
    frames = [bulk("Cu", cubic=True) for _ in range(12)]
    for seed, atoms in enumerate(frames):
        atoms.rattle(0.1, seed=seed)
    labelled = label(sevennet.load("7net-0"), map(Structure.unlabelled, frames))
    ase.io.write(tmp_path / "frames.extxyz", [each.to_atoms() for each in labelled])
    command = [sys.executable, BENCHMARKS / "quantization.py", "7net-0"]
    command += [tmp_path / "frames.extxyz", "--steps", "2", "--out", tmp_path / "table.csv"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    table = pd.read_csv(tmp_path / "table.csv").set_index(["trained with", "weights"])
    assert len(table) == 8
    start = table.loc["not trained further", "forces [meV/Å]"]
    assert start["4 bits"] > start["8 bits"] > start["as they are"]


@pytest.mark.slow
def test_the_benchmark_of_training_steps(sevennet, tmp_path):
    command = [sys.executable, BENCHMARKS / "training_step.py", "--out", tmp_path / "steps.csv"]
    command += ["--checkpoint", "7net-0", "--irreps", "4x0e+4x1e", "--atoms", "8", "--repeats", "1"]
    subprocess.run(command, check=True, capture_output=True)
    table = pd.read_csv(tmp_path / "steps.csv")
    assert set(table["code"]) == {"package's code", "faster products", "for losses"}
    assert len(table) == 6 and table["seconds"].gt(0).all()
