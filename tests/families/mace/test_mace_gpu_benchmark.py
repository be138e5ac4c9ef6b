"""The benchmark for GPUs runs MACE, in batches of torch-sim, too."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("mace.modules", reason="MACE is not installed in this environment")
pytest.importorskip("torch_sim", reason="torch-sim is not installed in this environment")

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "gpu.py"


@pytest.mark.slow
def test_codes_agree_on_a_cpu(architecture_file, tmp_path):
    path, _ = architecture_file("agnostic")
    command = [sys.executable, SCRIPT, "--models", path, "--device", "cpu"]
    command += ["--atoms", "8", "--rounds", "1", "--batch", "2", "--out", tmp_path / "gpu.csv"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "gpu.csv").set_index("code")
    assert {"family's own", "irrepress", "torch-sim"} <= set(table.index), done.stdout
    assert (table["difference of forces"] < 1e-4).all() and table.loc["torch-sim", "batch"] == 2
