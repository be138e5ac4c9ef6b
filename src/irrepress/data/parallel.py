"""Parallel processing of streams, in order and in bounded memory."""

import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import Any, TypeVar

from irrepress.core.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Number of pending items per process, so that no process waits for the others.
_AHEAD = 2
# How often a process checks whether its parent is alive.
_LOOK = 1.0  # seconds


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Generator[Result, None, None]:
    """Yield ``function(item)`` for every item, in order.

    Items are consumed as results are requested, so only a few per process are in memory at a time
    (`concurrent.futures` supports this from Python 3.14). With a single item or worker, the work is
    done in this process.

    Args:
        function: any callable; processes inherit it when they are forked.
        items: iterated in this process; items and results must be picklable.
        workers: number of processes, which are forked, so that scripts need no main guard.

    Raises:
        UserError: if a process was killed.
        Exception: if ``function`` raises one.
    """
    items = iter(items)
    first = list(islice(items, 2))
    items = chain(first, items)
    if workers < 2 or len(first) < 2:
        yield from map(function, items)
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, context, _Process.begin, (function,)) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(_Process.work, item))
                if len(waiting) >= _AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise UserError(
                f"one of {workers} reading processes was killed, probably because memory ran out; "
                "request more memory (resources mem_mb) or fewer threads"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _end_with_parent() -> None:
    """End this process when its parent has ended, which may have been killed.

    Otherwise it would wait for work for ever. (The pipe between them does not close, because
    processes started later hold it open as well.)
    """
    parent = multiprocessing.parent_process()
    while parent is None or os.getppid() == parent.pid:
        time.sleep(_LOOK)
    os._exit(1)


class _Process:
    """State that a process inherits."""

    function: Callable[[Any], Any]

    @classmethod
    def begin(cls, function: Callable[[Any], Any]) -> None:
        cls.function = staticmethod(function)
        threading.Thread(target=_end_with_parent, daemon=True).start()

    @classmethod
    def work(cls, item: Any) -> Any:
        return cls.function(item)
