"""The script of one job runs without the workflow."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import write

from irrepress.data.store import StructureStore

from .runs import ROOT, TINY, environment

ALONE = ROOT / "scripts/alone.py"

pytestmark = pytest.mark.workflow


def alone(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ALONE), *arguments],
        env=environment(),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_job_is_written_down_and_nothing_runs(tmp_path):
    wildcards = ("model=sevennet-0", "plan=taylor-0.50")
    done = alone(tmp_path, "describe", "plan", *wildcards, "--configfile", str(TINY))
    assert done.returncode == 0, done.stderr
    job = json.loads(done.stdout)
    assert job["script"] == "plan.py" and job["threads"] == 1
    assert job["input"] == {
        "model": "results/tiny/sevennet-0/parent/original/model.pt",
        "scores": "results/tiny/sevennet-0/scores.h5",
        "shapes": [],
    }
    assert job["output"] == {"plan": "results/tiny/sevennet-0/taylor-0.50/plan.json"}
    assert job["params"]["settings"]["budget"] == 0.5
    assert job["params"]["model"]["family"] == "sevennet"
    assert not (tmp_path / "results").exists()


def test_a_script_runs_from_plain_arguments(tmp_path):
    frames = []
    for seed in range(6):
        frames.append(bulk("Cu", cubic=True))
        frames[-1].rattle(0.05, seed=seed)
        frames[-1].info["energy"] = float(seed)
    write(tmp_path / "frames.extxyz", frames)
    job = {
        "script": "read_dataset.py",
        "rule": "read_dataset",
        "input": {"files": ["frames.extxyz"]},
        "output": {"store": "own.h5"},
        "params": {
            "settings": {"source": "files", "paths": ["frames.extxyz"]},
            "apart": {"licence": "MIT"},
            "downloads": {},
        },
        "wildcards": {"dataset": "own"},
        "log": ["own.log"],
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    done = alone(tmp_path, "run", "job.json")
    assert done.returncode == 0, done.stderr
    store = StructureStore(tmp_path / "own.h5")
    assert len(store) == 6 and store.info.licence == "MIT"
    assert (tmp_path / "own.log").exists()

    job["params"]["settings"]["paths"] = ["lost.extxyz"]
    (tmp_path / "job.json").write_text(json.dumps(job))
    failed = alone(tmp_path, "run", "job.json")
    assert failed.returncode != 0
    assert "rule read_dataset: " in failed.stderr and "lost.extxyz" in failed.stderr
    assert "Traceback" not in failed.stderr
