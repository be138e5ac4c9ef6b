"""Runs of the real Snakefile, in a directory of their own."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ase.build import bulk
from ase.io import write

from .runs import TINY, command, environment

Snakemake = Callable[..., subprocess.CompletedProcess[str]]

SEVENNET_0 = {"family": "sevennet", "checkpoint": "7net-0", "licence": "GPL-3.0"}


@pytest.fixture(scope="session")
def snakemake() -> Snakemake:
    """Run the Snakefile: ``snakemake(directory, *arguments, config=path)``."""

    def run(
        directory: Path, *arguments: str, config: Path = TINY
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(directory, *arguments, config=config),
            env=environment(),
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=2000,
        )

    return run


@pytest.fixture(scope="session")
def study(snakemake: Snakemake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a finished tiny study."""
    pytest.importorskip("sevenn", reason="SevenNet is not installed in this environment")
    directory = tmp_path_factory.mktemp("study")
    done = snakemake(directory)
    assert done.returncode == 0, done.stderr[-8000:]
    return directory


@pytest.fixture
def silicon_study(
    snakemake: Snakemake, tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a study of SevenNet-0 and rattled cells of silicon, pruned to a budget.

    ``silicon_study(name, budget, **sections)``: its plan is ``magnitude-BUDGET``, its dataset
    ``cells``, labelled by the model itself, and its results are in ``results/NAME``.
    """
    pytest.importorskip("sevenn", reason="SevenNet is not installed in this environment")

    def run(name: str, budget: float, **sections: Any) -> subprocess.CompletedProcess[str]:
        cells = [bulk("Si") for _ in range(8)]
        for seed, atoms in enumerate(cells):
            atoms.rattle(0.05, seed=seed)
        write(tmp_path / "cells.extxyz", cells)
        split = {"train": 0.5, "valid": 0.25, "test": 0.25}
        content = {
            "name": name,
            "device": "cpu",
            "models": {"parent": SEVENNET_0},
            "datasets": {
                "cells": {
                    "source": "files",
                    "paths": ["cells.extxyz"],
                    "labels": SEVENNET_0,
                    "split": split,
                }
            },
            "scoring": {"dataset": "cells", "structures": 2},
            "sweep": {"criteria": ["magnitude"], "budgets": [budget], "axes": ["both"]},
            "train_plans": [f"magnitude-{budget:.2f}"],
            "evaluation": {"dataset": "cells", "timing_atoms": 8, "timing_repeats": 1},
        }
        config = tmp_path / f"{name}.yaml"
        config.write_text(yaml.safe_dump(content | sections))
        done = snakemake(tmp_path, config=config)
        assert done.returncode == 0, done.stderr[-8000:]
        return done

    return run
