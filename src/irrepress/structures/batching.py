"""Cut a stream of structures into batches."""

from collections.abc import Iterable, Iterator
from itertools import islice

from irrepress.structures.structure import Structure


def in_batches(structures: Iterable[Structure], size: int) -> Iterator[list[Structure]]:
    """Yield lists of at most ``size`` structures; reads no further than the next list."""
    iterator = iter(structures)
    while chunk := list(islice(iterator, size)):
        yield chunk
