"""Work on a stream in several processes, in order and in bounded memory."""

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

# Items that wait or are worked on, per process: enough that no process waits for the others.
_AHEAD = 2
# How often a process looks whether its parent still lives.
_LOOK = 1.0  # seconds


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Generator[Result, None, None]:
    """Yield ``function(item)`` of every item, in the order of the items.

    The items are taken as results are asked for: only a few per process are in memory at any
    time, which `concurrent.futures` alone ensures from Python 3.14 on. A single item, or a
    single worker, is worked on in this process.

    Args:
        function: any callable; processes have it from their beginning on, with what it holds.
        items: taken one by one, in this process; they and the results can be pickled.
        workers: number of processes. They are forked, so that scripts need no main guard.

    Raises:
        UserError: a process was killed from outside.
        Exception: whatever ``function`` raises, in this process.
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
                f"one of {workers} reading processes was killed, probably for lack of memory; ask "
                "for more memory (resources mem_mb), or for fewer threads"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _end_with_parent() -> None:
    """End this process when the one that began it is gone, which a kill leaves no time to say.

    Otherwise it would wait for work for ever. (The pipe between the two tells nothing: processes
    that began later hold it open, too.)
    """
    parent = multiprocessing.parent_process()
    while parent is None or os.getppid() == parent.pid:
        time.sleep(_LOOK)
    os._exit(1)


class _Process:
    """What a process knows from its beginning on."""

    function: Callable[[Any], Any]

    @classmethod
    def begin(cls, function: Callable[[Any], Any]) -> None:
        cls.function = staticmethod(function)
        threading.Thread(target=_end_with_parent, daemon=True).start()

    @classmethod
    def work(cls, item: Any) -> Any:
        return cls.function(item)
