"""Cut a stream into batches."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of at most ``size`` items; reads no further than the next list."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
