"""What can be known of a SLURM cluster before jobs are sent to it."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from irrepress.errors import UserError, nearest


def check_cluster(partitions: Iterable[str], gpu_type: str | None, directory: Path) -> None:
    """Refuse a run that the cluster would refuse job by job, or that would disturb another.

    Args:
        partitions: those that jobs ask for.
        gpu_type: type of the GPUs that jobs ask for.
        directory: where the run takes place.

    Raises:
        UserError: no SLURM here, no such partition or type of GPU, or jobs of an earlier run
            in the same directory that still wait or run.
    """
    if shutil.which("sbatch") is None:
        raise UserError(
            "profile slurm: there is no sbatch on PATH; run this on a login node of the cluster, "
            "or take --profile profiles/local"
        )
    known, types = set(), set()
    for line in _ask("sinfo", "-h", "-o", "%R|%G"):
        partition, _, gres = line.partition("|")
        known.add(partition)
        types |= _gpu_types(gres)
    for partition in sorted(set(partitions)):
        if partition not in known:
            raise UserError(
                f"slurm_partition: the cluster has no partition {partition!r}; "
                f"{nearest(partition, known)}; correct profiles/slurm"
            )
    if gpu_type is not None and gpu_type not in types:
        have = nearest(gpu_type, types) if types else "it names no types of GPUs"
        raise UserError(f"cluster.gpu_type: the cluster has no GPU of type {gpu_type!r}; {have}")
    if left := _jobs_of(directory):
        raise UserError(
            f"{directory}: jobs of another run in this directory are in the queue "
            f"({', '.join(left)}); wait for them, or cancel them: scancel {' '.join(left)}"
        )


def _gpu_types(gres: str) -> set[str]:
    """Return the types in a list such as ``gpu:a100:2(S:0-1),gpu:h100:4``."""
    parts = [part.split("(")[0].split(":") for part in gres.split(",")]
    return {part[1] for part in parts if part[0] == "gpu" and len(part) > 2}


def _jobs_of(directory: Path) -> list[str]:
    """Return the jobs of the workflow that were sent from a directory and are not over."""
    found = []
    for line in _ask("squeue", "-h", "--me", "-o", "%i|%k|%Z"):
        number, comment, place = line.split("|", 2)
        if comment.startswith("rule_") and Path(place) == directory:
            found.append(number)
    return sorted(found, key=int)


def _ask(*command: str) -> list[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"profile slurm: {command[0]} gives no answer ({error})") from error
    if done.returncode:
        reason = done.stderr.strip().splitlines()
        raise UserError(f"profile slurm: {reason[-1] if reason else command[0] + ' failed'}")
    return done.stdout.splitlines()
