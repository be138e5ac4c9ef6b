"""Processes of a job: the first rank, and termination together. Uses only the standard library."""

import os
import select
import signal
import threading
from pathlib import Path

# Set for processes started by srun; SLURM's own variables are set in any job.
STARTED_BY_SRUN = "IRREPRESS_STARTED_BY_SRUN"


def is_first() -> bool:
    """Return whether this process writes files: it is the first rank, or the only process."""
    rank = os.environ.get("SLURM_PROCID") if STARTED_BY_SRUN in os.environ else None
    return int(rank or os.environ.get("LOCAL_RANK", "0")) == 0


def end_with(process: int) -> bool:
    """Send SIGTERM to this process as soon as another one ends.

    A job then does not outlive the run that started it, and cannot collide with the next attempt.

    Args:
        process: id of the other process, which must be an ancestor of this one, because ids are
            reused and differ between machines.

    Returns:
        Whether the process is watched; False if it is not an ancestor or the system lacks pidfd
        (Linux 5.3).
    """
    if process not in _ancestors(os.getpid()):
        return False
    try:
        descriptor = os.pidfd_open(process)
    except (AttributeError, OSError):
        return False

    def watch() -> None:
        watched = select.poll()
        watched.register(descriptor, select.POLLIN)
        watched.poll()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    return True


def _ancestors(process: int) -> list[int]:
    """Return the ids of a process's ancestors, closest first."""
    found = []
    while process > 1:
        try:
            status = Path(f"/proc/{process}/stat").read_text()
        except OSError:
            break
        process = int(status.rpartition(")")[2].split()[1])  # names may contain spaces
        found.append(process)
    return found
