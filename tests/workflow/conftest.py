"""Runs of the real Snakefile, in a directory of their own."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .runs import TINY, command, environment

Snakemake = Callable[..., subprocess.CompletedProcess[str]]


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
