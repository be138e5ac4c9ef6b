"""The terminal that progress bars are drawn on; one process at a time draws on it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

_device: str | None = None


def draw_on(descriptor: int) -> None:
    """Draw on the terminal of a file descriptor from now on, in place of standard error.

    For processes whose standard error goes to a log. Nothing changes if it is no terminal.
    """
    global _device
    if os.isatty(descriptor):
        _device = os.ttyname(descriptor)


@contextmanager
def claimed() -> Iterator[Console | None]:
    """Give the console to draw on while the block lasts.

    It is None if nobody watches, or if another process draws on the same terminal: bars of
    several jobs would overwrite each other.
    """
    if _device is None:
        console = Console(stderr=True)
        yield console if console.is_terminal else None
        return
    try:
        stream = open(_device, "w", encoding="utf-8")
    except OSError:  # the terminal was closed
        yield None
        return
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield None
            return
        yield Console(file=stream, force_terminal=True)
