"""What may happen to a training on a cluster in mid-course: nothing is lost or half-written."""

import re
import signal
from pathlib import Path

import pytest

from .cluster import NODES, Cluster
from .conftest import TINY, wait_for

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.timeout(2400)]

RECOVERED = "results/tiny/small/magnitude-half/recovered"
OUTPUTS = [f"{RECOVERED}/{name}" for name in ("model.pt", "card.json", "training.csv")]
OVER = {"COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY"}
LOG = "logs/tiny/small/magnitude-half/recovered/model.log"


class Watched:
    """A training without end in the queue, whatever becomes of its jobs."""

    def __init__(self, directory: Path, cluster: Cluster, start):
        self.directory, self.cluster = directory, cluster
        self._start = start
        self.output = directory.parent / "snakemake.log"
        self.over: set[str] = set()
        self.step = 0
        self.run = self.snakemake()

    def snakemake(self, *arguments: str):
        """Start Snakemake."""
        endless = "recovery={steps: 1000000, validate_every: 20, checkpoint_minutes: 0.01}"
        return self._start(
            self.directory,
            OUTPUTS[0],
            *arguments,
            *("--config", "cluster={gpu_type: a100}", endless),
            # These take the place of all that the profile has; the warning comes all the same.
            *("--default-resources", "slurm_partition=gpu"),
            output=self.output,
        )

    def job(self) -> str:
        """Wait for the job that runs now, and return its number."""

        def running():
            assert self.run.poll() is None, self.output.read_text()[-4000:]
            return set(self.cluster.jobs("RUNNING", directory=self.directory)) - self.over

        (number,) = wait_for(running, "a running job")
        return number

    def goes_on(self) -> str:
        """Wait until the job trains, from a later step than the one before; return its number."""
        number = self.job()
        before = self.step
        log = self.directory / LOG

        def resumed():
            try:
                text = log.read_text()
            except FileNotFoundError:  # Snakemake removes the log of a job that it starts anew.
                return None
            found = re.search(r"resuming training from step (\d+)", text)
            return found and int(found[1]) > before and "step" in text[found.end() :] and found

        found = wait_for(resumed, f"training to go on after step {before}")
        self.step = int(found[1])
        return number

    def ended(self, number: str) -> str:
        """Wait until a job is over, and return its state."""
        state = wait_for(
            lambda: (found := self.cluster.job(number).get("JobState")) in OVER and found,
            f"job {number} to end",
        )
        self.over.add(number)
        return str(state)

    def slurm_log(self, number: str) -> str:
        return Path(self.cluster.job(number)["StdOut"]).read_text()


@pytest.fixture
def watched(copy, start, cluster):
    """A training that has written a checkpoint; none of its jobs is left afterwards."""
    directory = copy(*OUTPUTS)
    watched = Watched(directory, cluster, start)
    try:
        wait_for((directory / RECOVERED / ".checkpoints/last.ckpt").exists, "a checkpoint")
        yield watched
    finally:
        watched.run.kill()
        watched.run.wait()
        if left := cluster.jobs(directory=directory):
            cluster.ask("scancel", *left)


def test_a_training_survives_what_happens_to_its_job(watched, cluster):
    """Each time it resumes from a later step than the time before."""
    number = watched.job()

    # The time limit.
    used = cluster.job(number)["RunTime"].split(":")
    limit = int(used[-2]) + 1
    cluster.ask("scontrol", "update", f"JobId={number}", f"TimeLimit={limit}")
    assert watched.ended(number) in ("TIMEOUT", "FAILED")
    told = re.search(r"stopped by SIGTERM at step (\d+)", watched.slurm_log(number))
    assert told, watched.slurm_log(number)[-2000:]
    number = watched.goes_on()
    assert watched.step == int(told[1]), "it resumes from the step at which it was stopped"

    # Its node dies: SLURM queues the job again, and it runs on the other one.
    node = cluster.job(number)["NodeList"]
    (other,) = set(NODES) - {node}
    cluster.kill_node(node)
    wait_for(lambda: "down" in cluster.node_state(node), "the node to be down")
    wait_for(lambda: cluster.job(number)["JobState"] == "PENDING", "the job in the queue again")
    cluster.ask("scontrol", "update", f"JobId={number}", "StartTime=now")
    assert watched.goes_on() == number
    assert cluster.job(number)["NodeList"] == other and cluster.job(number)["Restarts"] == "1"
    cluster.start_node(node)

    # Someone cancels it.
    cluster.ask("scancel", number)
    assert watched.ended(number) in ("CANCELLED", "FAILED")
    watched.goes_on()


def test_a_training_survives_what_happens_to_snakemake(watched, run, cluster):
    """After kill -9 and Ctrl-C no job is left behind and nothing half-written; then it ends."""
    directory, number = watched.directory, watched.job()

    # Snakemake is killed; its job is not, and a second one beside it is refused.
    watched.run.kill()
    watched.run.wait()
    locked = run(directory, OUTPUTS[0])
    assert locked.returncode != 0 and "unlock" in locked.stderr
    assert run(directory, "--unlock").returncode == 0
    refused = run(directory, OUTPUTS[0])
    assert refused.returncode != 0 and f"scancel {number}" in refused.stderr
    assert "Traceback" not in refused.stderr
    cluster.ask("scancel", number)
    watched.ended(number)
    watched.run = watched.snakemake("--rerun-incomplete")
    number = watched.goes_on()

    # Ctrl-C.
    watched.run.send_signal(signal.SIGINT)
    watched.run.wait(timeout=300)
    assert watched.ended(number) in ("CANCELLED", "FAILED")
    assert cluster.jobs(directory=directory) == []
    assert not any((directory / path).exists() for path in OUTPUTS)
    left = {path.name for path in (directory / RECOVERED).rglob("*") if path.is_file()}
    checkpoints = {"best.ckpt", "last.ckpt", "recent.ckpt", "lock"}
    assert left <= checkpoints | {"metrics.json"} | downstream(directory)

    # What was interrupted is computed as if nothing had been.
    done = run(directory, OUTPUTS[0], "--rerun-incomplete", config=TINY)
    assert done.returncode == 0, done.stderr[-4000:]
    assert all((directory / path).exists() for path in OUTPUTS)


def downstream(directory: Path) -> set[str]:
    """Names of the files of the downstream tasks, which lie below and are whole."""
    return {p.name for p in (directory / RECOVERED / "downstream").rglob("*") if p.is_file()}
