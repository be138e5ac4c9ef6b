"""Checks of a SLURM cluster before jobs are submitted."""

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from irrepress.core.errors import UserError, nearest

# Option of sbatch that sends SIGTERM two minutes before the time limit.
SIGNAL = "--signal=TERM@120"


@dataclass(frozen=True)
class Asked:
    """Resources requested by the jobs of one or several rules.

    Attributes:
        partition: name of the partition; None: the default partition of the cluster.
        gpu: whether they need a GPU.

    Example:
        >>> Asked(partition="gpu", gpu=True) == Asked("gpu", True)
        True
    """

    partition: str | None
    gpu: bool = False


def check_resources(
    asked: Iterable[Asked], gpu_type: str | None, partition_file: Path | None = None
) -> None:
    """Check that the cluster has the requested resources.

    Args:
        asked: the resources that jobs request.
        gpu_type: type of the GPUs; None: any.
        partition_file: partition file of the executor (``--slurm-partition-config``), which lists
            the partitions for jobs that do not name one.

    Raises:
        UserError: if there is no SLURM, or a partition or GPU type does not exist.
    """
    if shutil.which("sbatch") is None:
        raise UserError(
            "profile slurm: there is no sbatch on PATH; run this on a login node of the cluster, "
            "or use --profile profiles/local"
        )
    known: dict[str, set[str]] = {}
    default = None
    for line in _ask("sinfo", "-h", "-o", "%P|%G"):
        name, _, gres = line.partition("|")
        default = name[:-1] if name.endswith("*") else default
        known.setdefault(name.rstrip("*"), set()).update(_gpus(gres))
    asked = set(asked)
    for partition in sorted({each.partition for each in asked if each.partition is not None}):
        if partition not in known:
            raise UserError(
                f"slurm_partition: the cluster has no partition {partition!r}; "
                f"{nearest(partition, known)}; correct profiles/slurm"
            )
    types = set().union(*known.values()) - {""}
    if gpu_type is not None and gpu_type not in types:
        have = nearest(gpu_type, types) if types else "it has no GPU types"
        raise UserError(f"cluster.gpu_type: the cluster has no GPU of type {gpu_type!r}; {have}")
    for partition in sorted({each.partition or "" for each in asked if each.gpu}):
        if partition:
            where, places = f"partition {partition!r} has no", {partition}
        elif partition_file is not None:
            where, places = (
                f"no partition of {partition_file} has a",
                _with_gpus(partition_file, gpu_type),
            )
        else:
            where, places = f"the default partition ({default}) has no", {default or ""}
        if not any(_has(known.get(each, set()), gpu_type) for each in places):
            kind = "GPU" if gpu_type is None else f"GPU of type {gpu_type!r}"
            suited = sorted(name for name, gpus in known.items() if _has(gpus, gpu_type))
            mend = f"name {' or '.join(suited)} in profiles/slurm" if suited else "set device: cpu"
            raise UserError(f"slurm_partition: {where} {kind}, which jobs request; {mend}")


def _has(gpus: set[str], gpu_type: str | None) -> bool:
    """Return whether GPUs include the requested type, or any if None."""
    return bool(gpus) if gpu_type is None else gpu_type in gpus


def _with_gpus(path: Path, gpu_type: str | None) -> set[str]:
    """Return the partitions of a partition file that have GPUs of a type, or any GPUs if None."""
    try:
        listed = yaml.safe_load(path.read_text(encoding="utf-8"))["partitions"]
        return {
            name
            for name, limits in listed.items()
            if limits.get("max_gpu", 0)
            and (gpu_type is None or gpu_type in limits.get("available_gpu_models", [gpu_type]))
        }
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, AttributeError, TypeError) as error:
        raise UserError(
            f"{path}: not a file of partitions; profiles/slurm/partitions.yaml is an example"
        ) from error


def check_queue(directory: Path) -> None:
    """Check that no other run uses the same directory.

    Args:
        directory: the working directory of the run.

    Raises:
        UserError: if jobs of another run in the same directory are pending or running.
    """
    if left := _jobs_of(directory):
        raise UserError(
            f"{directory}: jobs of another run in this directory are in the queue "
            f"({', '.join(left)}); wait for them, or cancel them: scancel {' '.join(left)}"
        )


def partitions() -> list[str]:
    """Return the names of the cluster's partitions, in its order.

    Raises:
        UserError: if it does not respond.
    """
    return list(dict.fromkeys(name.rstrip("*") for name in _ask("sinfo", "-h", "-o", "%P")))


def cluster_answers() -> bool:
    """Return whether a SLURM cluster responds."""
    try:
        return bool(partitions())
    except UserError:
        return False


def _gpus(gres: str) -> set[str]:
    """Return the types in a list such as ``gpu:a100:2(S:0-1),gpu:2``; "" if untyped."""
    parts = [part.split("(")[0].split(":") for part in gres.split(",")]
    return {part[1] if len(part) > 2 else "" for part in parts if part[0] == "gpu"}


def _jobs_of(directory: Path) -> list[str]:
    """Return the unfinished jobs of the workflow that were submitted from a directory."""
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
        raise UserError(f"profile slurm: {command[0]} does not respond ({error})") from error
    if done.returncode:
        reason = done.stderr.strip().splitlines()
        raise UserError(f"profile slurm: {reason[-1] if reason else command[0] + ' failed'}")
    return done.stdout.splitlines()
