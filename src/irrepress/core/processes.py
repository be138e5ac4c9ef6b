"""The processes of a job: which one is first, and ending together; standard library only."""

import os
import select
import signal
import threading
from pathlib import Path

# Set for the processes that srun starts for a job; SLURM's own variables are set in any job.
STARTED_BY_SRUN = "IRREPRESS_STARTED_BY_SRUN"


def is_first() -> bool:
    """Tell whether this process is the one that writes files: the first rank, or the only one."""
    rank = os.environ.get("SLURM_PROCID") if STARTED_BY_SRUN in os.environ else None
    return int(rank or os.environ.get("LOCAL_RANK", "0")) == 0


def end_with(process: int) -> bool:
    """Send SIGTERM to this process as soon as another one has ended.

    A job then does not outlive the run that started it and collide with the next attempt.

    Args:
        process: number of the other process, an ancestor of this one: numbers are reused, and mean
            other processes on other machines.

    Returns:
        Whether the process is watched: not if it is no ancestor, or if the system lacks pidfd
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
    """Return the numbers of the processes that one descends from, the nearest first."""
    found = []
    while process > 1:
        try:
            status = Path(f"/proc/{process}/stat").read_text()
        except OSError:
            break
        process = int(status.rpartition(")")[2].split()[1])  # names may hold spaces
        found.append(process)
    return found
