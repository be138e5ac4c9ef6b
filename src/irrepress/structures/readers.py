"""Labelled structures from files of the user."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from irrepress.config import Files, LabelKeys
from irrepress.errors import UserError
from irrepress.files import sha256
from irrepress.structures.checks import warn_of_units
from irrepress.structures.formats.registry import make_reader
from irrepress.structures.formats.sources import check_readable
from irrepress.structures.store import StoreInfo, write_store
from irrepress.structures.structure import Structure

logger = logging.getLogger(__name__)


class FileStructures(Iterator[Structure]):
    """The structures of ``paths``, then those of ``test_paths``, checked one by one.

    Attributes:
        test_indices: places of the structures from ``test_paths``, as far as it was read.
    """

    def __init__(self, config: Files):
        self.test_indices: list[int] = []
        self._config = config
        self._structures = self._read()

    def __next__(self) -> Structure:
        return next(self._structures)

    def _read(self) -> Iterator[Structure]:
        config = self._config
        index = 0
        for path in config.paths:
            for structure in read_file(Path(path), config.keys, config.limit):
                yield structure
                index += 1
        for path in config.test_paths:
            for structure in read_file(Path(path), config.keys, config.limit):
                self.test_indices.append(index)
                yield structure
                index += 1


def read_files(config: Files) -> FileStructures:
    """Return an iterator over the structures of all files.

    Raises:
        UserError: at once if a file is missing or empty; while reading, if a frame is unreadable,
            has no energy or forces, or does not pass `checks.check_structure`.
    """
    for path in (*config.paths, *config.test_paths):
        check_readable(Path(path))
    return FileStructures(config)


def read_file(path: Path, keys: LabelKeys, limit: int | None = None) -> Iterator[Structure]:
    """Yield the structures of one file.

    Args:
        path: any file that ASE reads.
        keys: where the labels are; null means where ASE puts them.
        limit: read at most so many.

    Raises:
        UserError: see `read_files`.
    """
    reader = make_reader("auto", [path], keys)
    for index, record in enumerate(islice(reader.records(), limit)):
        if isinstance(record, UserError):
            raise record
        if index == 0:
            warn_of_units(record.structure, record.where)
        yield record.structure


def store_files(path: str | Path, config: Files) -> None:
    """Read files and write them to a store, with the official test files as test part.

    Raises:
        UserError: see `read_files` and `store.write_store`.
    """
    structures = read_files(config)
    names = [*config.paths, *config.test_paths]
    info = StoreInfo(
        source=", ".join(names) if len(names) <= 20 else f"{names[0]} and {len(names) - 1} more",
        licence=config.licence,
        citation=config.citation,
        level_of_theory=config.level_of_theory,
        labels=config.level_of_theory,
        checksum=checksum(names),
    )
    test_indices = structures.test_indices if config.test_paths else None
    write_store(path, structures, info, config.split, config.seed, test_indices)


def checksum(paths: Sequence[str | Path]) -> str:
    """Return the SHA-256 of one file, or of the SHA-256 sums of several, one a line."""
    digests = [sha256(path) for path in paths]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()
