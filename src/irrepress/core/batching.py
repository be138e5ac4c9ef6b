"""Batching of streams."""

from collections.abc import Iterable, Iterator, Sized
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Weighted = TypeVar("Weighted", bound=Sized)


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of at most ``size`` items, without reading ahead."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def in_limited_batches(items: Iterable[Weighted], size: int, most: int) -> Iterator[list[Weighted]]:
    """Yield lists of at most ``size`` items whose lengths add up to at most ``most``.

    A longer item forms a list on its own. Reads one item ahead.
    """
    chunk: list[Weighted] = []
    total = 0
    for item in items:
        if chunk and (len(chunk) == size or total + len(item) > most):
            yield chunk
            chunk, total = [], 0
        chunk.append(item)
        total += len(item)
    if chunk:
        yield chunk
