"""How the tests run the real Snakefile."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
TINY = Path(__file__).with_name("tiny.yaml")


def command(directory: Path, *arguments: str, config: Path = TINY) -> list[str]:
    """The command line of a run of the Snakefile with its results in ``directory``."""
    return [
        sys.executable,
        *("-m", "snakemake", *arguments),  # targets first: --configfile takes several values
        *("--snakefile", str(ROOT / "Snakefile"), "--directory", str(directory)),
        *("--cores", "2", "--configfile", str(config)),
    ]


def without_conda() -> dict[str, str]:
    """PATH without the places that hold conda."""
    places = os.environ["PATH"].split(os.pathsep)
    return {"PATH": os.pathsep.join(p for p in places if not Path(p, "conda").exists())}


def environment() -> dict[str, str]:
    """The environment of a run: one thread a job, and no settings of the user."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SNAKEMAKE_")}
    return kept | {"OMP_NUM_THREADS": "1"}


def start_until(checkpoint: Path, directory: Path, *arguments: str) -> subprocess.Popen:
    """Start a run and return as soon as its training has written a checkpoint."""
    running = subprocess.Popen(
        command(directory, *arguments),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A shell without a terminal lets what it runs in the background ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 300
    while not checkpoint.exists():
        assert running.poll() is None, "the run ended before its training had a checkpoint"
        assert time.monotonic() < deadline, "the run took too long"
        time.sleep(0.05)
    return running


def kill_with_jobs(running: subprocess.Popen) -> None:
    """Kill a run and all jobs that it started, as a crash of the machine would."""
    process = psutil.Process(running.pid)
    for member in [process, *process.children(recursive=True)]:
        member.kill()
    running.wait()
