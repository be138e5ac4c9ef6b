"""Benchmarks run; what they measure is not asserted, machines differ."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

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
