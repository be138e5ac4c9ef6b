"""Progress of long tasks: bars on a terminal, otherwise lines in the log."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from irrepress.core.terminal import claimed, draws_elsewhere

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

# Seconds between lines in the log.
SECONDS = 60.0


def tracked(
    items: Iterable[Item], description: str, unit: str, total: int | None = None
) -> Iterator[Item]:
    """Yield items with a progress bar and a line in the log every minute.

    If the bar is drawn on standard error, no lines are logged, as they would disrupt it.

    Args:
        items: the items to process.
        description: text before the bar.
        unit: what is counted, in the plural.
        total: number of items, if known.
    """
    with claimed() as console:
        if console is None:
            yield from _logged(items, description, unit, total)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeElapsedColumn(),
        )
        if draws_elsewhere():
            items = _logged(items, description, unit, total)
        with Progress(*columns, console=console, transient=True) as progress:
            yield from progress.track(items, total=total, description=description)


@contextmanager
def transferring(description: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show the progress of a transfer in a bar, or every minute in the log.

    Args:
        description: text before the bar.

    Yields:
        A function to call with the number of bytes so far and in total, if known.
    """
    with claimed() as console:
        if console is None:
            due = _Due()

            def log(done: int, total: int | None) -> None:
                if due():
                    of = "" if total is None else f" of {total / 1e6:,.0f}"
                    logger.info("%s: %s%s MB", description, f"{done / 1e6:,.0f}", of)

            yield log
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(description, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)


def _logged(
    items: Iterable[Item], description: str, unit: str, total: int | None
) -> Iterator[Item]:
    due = _Due()
    for done, item in enumerate(items):
        if due():
            of = "" if total is None else f" of {total:,}"
            logger.info("%s: %s%s %s", description, f"{done:,}", of, unit)
        yield item


class _Due:
    """Returns whether another line in the log is due."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self) -> bool:
        now = time.monotonic()
        if now - self._last < SECONDS:
            return False
        self._last = now
        return True
