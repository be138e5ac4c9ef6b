"""The benchmark of training steps runs MACE, too; what it measures is not asserted."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("mace.modules", reason="MACE is not installed in this environment")

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "training_step.py"


@pytest.mark.slow
def test_training_steps_are_compared(tmp_path):
    command = [sys.executable, SCRIPT, "--family", "mace", "--atoms", "8", "--repeats", "1"]
    command += ["--checkpoint", "untrained: 4x0e+4x1o, correlation 2"]
    command += ["--out", tmp_path / "steps.csv"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "steps.csv")
    assert set(table["code"]) == {"package's code", "faster products", "for losses"}
    assert len(table) == 6 and table["seconds"].gt(0).all()
