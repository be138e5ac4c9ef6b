"""A lock that allows one training run at a time in a directory of checkpoints."""

import errno
import fcntl
import json
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from irrepress.core.errors import UserError

logger = logging.getLogger(__name__)

NAME = "lock"


@contextmanager
def locked(directory: str | Path) -> Iterator[None]:
    """Keep other processes from training in a directory inside the ``with`` block.

    The lock belongs to the operating system (``fcntl``); network file systems pass it on to their
    server. It is released when its process ends for any reason and is not inherited by workers. The
    locked file names the process that holds the lock, and is not deleted.

    Args:
        directory: directory of the checkpoints; created if missing.

    Raises:
        UserError: if another process is training there; the message names it and its host.
    """
    directory = Path(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / NAME).open("a+", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{directory}: cannot be written ({error.strerror})") from error
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise UserError(_refusal(directory, file.name)) from error
            logger.warning(
                "%s: the file system does not support locks (%s); make sure that no other run "
                "trains here",
                directory,
                error.strerror,
            )
        file.truncate(0)
        json.dump(_owner(), file)
        file.flush()
        yield


def _owner() -> dict[str, object]:
    return {
        "host": platform.node(),
        "process": os.getpid(),
        "job": os.environ.get("SLURM_JOB_ID"),
        "since": datetime.now().isoformat(" ", "seconds"),
    }


def _refusal(directory: Path, path: str) -> str:
    try:
        owner = json.loads(Path(path).read_text(encoding="utf-8"))
        who = (
            f"process {owner['process']} on {owner['host']} has been training here since "
            f"{owner['since']}"
        )
        mend = f"kill {owner['process']} (on {owner['host']})"
        if owner["job"]:
            mend = f"scancel {owner['job']}"
    except (OSError, ValueError, KeyError, TypeError):  # it is being written
        return (
            f"{directory}: another process is training here; wait for it or stop it, then run again"
        )
    return (
        f"{directory}: {who} in another run; wait for it or stop it ({mend}; it writes a "
        "checkpoint first), then run again"
    )
