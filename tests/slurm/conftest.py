"""One SLURM for the session, and one small study computed on it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .cluster import GPU_TYPE, Cluster, why_not

ROOT = Path(__file__).resolve().parents[2]
TINY = Path(__file__).with_name("tiny.yaml")
PARTITIONS = Path(__file__).with_name("partitions.yaml")
LIMIT = 1500  # seconds that a run may take on a busy machine

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster of two nodes with two stand-in GPUs each; skips where there is none."""
    pytest.importorskip("sevenn", reason="SevenNet is not installed in this environment")
    if reason := why_not():
        pytest.skip(reason)
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def start(cluster: Cluster) -> Callable[..., subprocess.Popen[str]]:
    """Start ``snakemake --profile slurm`` in a directory: ``start(directory, *arguments)``.

    With ``output`` what it prints goes to a file: a pipe that nobody reads would stop it.
    """

    def start(
        directory: Path,
        *arguments: str,
        config: Path = TINY,
        output: Path | None = None,
        **environment: str,
    ) -> subprocess.Popen[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SNAKEMAKE_", "SLURM_"))}
        return subprocess.Popen(
            [
                sys.executable,
                *("-m", "snakemake", *arguments),
                *("--snakefile", str(ROOT / "Snakefile"), "--directory", str(directory)),
                *("--configfile", str(config)),
                *("--config", f"cluster={{gpu_type: {GPU_TYPE}}}") * ("--config" not in arguments),
                # As a user has it, but looking more often and waiting less for files.
                *("--profile", "slurm", "--latency-wait", "5"),
                *("--slurm-init-seconds-before-status-checks", "2"),
                *("--slurm-partition-config", str(PARTITIONS)),
            ],
            cwd=ROOT,  # the link slurm is found from there
            env=kept | cluster.environment | {"OMP_NUM_THREADS": "1"} | environment,
            stdout=output.open("a") if output else subprocess.PIPE,
            stderr=subprocess.STDOUT if output else subprocess.PIPE,
            text=True,
            # A shell without a terminal lets what it runs in the background ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    return start


@pytest.fixture(scope="session")
def run(start: Callable[..., subprocess.Popen[str]]) -> Run:
    """The same, until it is over."""

    def run(directory: Path, *arguments: str, **keywords) -> subprocess.CompletedProcess[str]:
        process = start(directory, *arguments, **keywords)
        out, err = process.communicate(timeout=LIMIT)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture(scope="session")
def study(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a whole study that was computed on the cluster."""
    directory = tmp_path_factory.mktemp("study")
    done = run(directory, "all")
    assert done.returncode == 0, done.stderr[-8000:]
    return directory


@pytest.fixture
def copy(study: Path, tmp_path: Path) -> Callable[..., Path]:
    """Copy the study without some of its files, so that just these are computed again."""

    def copy(*without: str) -> Path:
        directory = tmp_path / "copy"
        shutil.copytree(study, directory)
        for path in without:
            (directory / path).unlink()
        return directory

    return copy


def wait_for(condition: Callable[[], object], what: str, seconds: float = 600) -> object:
    """Return what a condition gives once it gives something."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.2)
    return found
