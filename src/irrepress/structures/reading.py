"""The structures of a dataset, as its source gives them."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from irrepress.config import Files, LabelKeys, Published, Units
from irrepress.errors import UserError
from irrepress.structures.checks import warn_of_units
from irrepress.structures.formats.base import Reader, Record, Remark
from irrepress.structures.formats.registry import make_reader
from irrepress.structures.notes import Notes
from irrepress.structures.parallel import ordered_map
from irrepress.structures.paths import Located, locate
from irrepress.structures.published.registry import get_published
from irrepress.structures.splits import OfficialParts
from irrepress.structures.structure import Structure

logger = logging.getLogger(__name__)

# Messages of bad frames that go to the log one by one; the others are only counted.
_MOST_MESSAGES = 20


@dataclass(frozen=True)
class Source:
    """One file of a dataset.

    Attributes:
        reader: reads the file.
        part: the official part that all of the file is; None if the reader says it, or nobody.
    """

    reader: Reader
    part: str | None = None


class Reading:
    """One pass over the structures of a dataset, with what comes to light meanwhile.

    Attributes:
        official: the official parts of the structures that were read so far.
        reference_energies: atomic number -> energy in eV of the isolated atoms found so far.
        skipped: number of bad frames that were left out so far.
        notes: what was noticed and done so far, counted by kind.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        bad_frames: Literal["stop", "skip"] = "stop",
        limit: int | None = None,
        rest: Literal["share", "test", "none"] = "share",
        workers: int = 1,
    ):
        """Prepare to read.

        Args:
            sources: read one after another.
            bad_frames: whether a bad frame ends the reading, or is left out.
            limit: largest number of frames of every source.
            rest: see `OfficialParts`.
            workers: number of processes that parse.
        """
        self.official = OfficialParts(rest)
        self.reference_energies: dict[int, float] = {}
        self.skipped = 0
        self.notes = Notes()
        self._sources = sources
        self._bad_frames = bad_frames
        self._limit = limit
        self._workers = workers

    def __iter__(self) -> Iterator[Structure]:
        """Yield the structures.

        Raises:
            UserError: a source is damaged, or has a bad frame that is not to be left out.
        """
        return (structure for _, structure in self.located())

    def located(self) -> Iterator[tuple[str, Structure]]:
        """Yield file and frame with every structure; see `__iter__`."""
        index = 0
        for number, record in self._records():
            if isinstance(record, UserError):
                self._skip(record)
                continue
            for text in record.notes:
                self.notes.add(text, record.where)
            if record.isolated_atom:
                structure = record.structure
                self.reference_energies[int(structure.numbers[0])] = structure.energy
                self.notes.add("isolated atom taken as a reference energy only", record.where)
            else:
                self.official.add(index, record.part or self._sources[number].part)
                yield record.where, record.structure
                index += 1

    def _records(self) -> Iterator[tuple[int, Record | UserError]]:
        """Yield what the sources hold, each with the number of its source."""
        groups = [range(len(self._sources))]
        if self._limit is not None:
            # One source at a time, or the processes would parse ahead what is not wanted.
            groups = [[number] for number in groups[0]]
        for numbers in groups:
            with closing(self._parsed(numbers)) as records:
                yield from islice(records, self._limit)

    def _parsed(self, numbers: Sequence[int]) -> Iterator[tuple[int, Record | UserError]]:
        chunks = (
            (number, chunk) for number in numbers for chunk in self._sources[number].reader.chunks()
        )
        seen = set()
        try:
            with closing(ordered_map(self._parse, chunks, self._workers)) as results:
                for number, records in results:
                    for record in records:
                        if isinstance(record, Remark):
                            self._remark(record)
                            continue
                        if number not in seen and isinstance(record, Record):
                            warn_of_units(record.structure, record.where)
                            seen.add(number)
                        yield number, record
        finally:
            for number in numbers:
                for remark in self._sources[number].reader.remarks:
                    self._remark(remark)

    def _remark(self, remark: Remark) -> None:
        self.notes.add(remark.text, remark.where)

    def _parse(self, task: tuple[int, Any]) -> tuple[int, list[Record | Remark | UserError]]:
        number, chunk = task
        return number, list(self._sources[number].reader.parse(chunk))

    def _skip(self, error: UserError) -> None:
        if self._bad_frames == "stop":
            raise UserError(f"{error} (or set bad_frames: skip)")
        self.skipped += 1
        self.notes.add("bad frame left out", str(error))
        if self.skipped <= _MOST_MESSAGES:
            logger.warning("left out: %s", error)


def read_files(config: Files, workers: int = 1, located: Located | None = None) -> Reading:
    """Prepare to read files of the user.

    Args:
        config: the dataset.
        workers: number of processes that parse.
        located: what its paths stand for; None: look now.

    Raises:
        UserError: a file is missing, empty or of another format; while it is read, see
            `Reading`.
    """
    located = located or locate(config)
    sources = [
        Source(make_reader(config.format, [path], config.keys, config.units), part)
        for key, part in (("paths", None), ("valid_paths", "valid"), ("test_paths", "test"))
        for path in located.paths[key]
    ]
    reading = Reading(sources, bad_frames=config.bad_frames, limit=config.limit, workers=workers)
    for remark in located.remarks:
        reading.notes.add(*remark)
    for path in located.paths["isolated_atoms"]:
        reading.reference_energies.update(_isolated_atoms(path, config.keys, config.units))
    return reading


def read_published(config: Published, directory: Path, workers: int = 1) -> Reading:
    """Prepare to read a published dataset.

    Args:
        config: its name and how it is to be read.
        directory: holds ``COLLECTION/FILE`` of all downloads.
        workers: number of processes that parse.

    Raises:
        UserError: a file is not there or damaged; while it is read, see `Reading`.
    """
    entry = get_published(config.name)
    keys, units = LabelKeys(**entry.keys), Units(**entry.units)
    options = dict(entry.options)
    if "fold" in options:
        options["fold"] = config.fold
    energies: dict[int, float] = {}
    sources = []
    for file in entry.files:
        path = directory / entry.collection / file.name
        if not path.exists():
            raise UserError(
                f"{path}: is gone, though it was downloaded; delete {path.name}.json beside it, "
                "so that it is downloaded again"
            )
        if file.name == entry.isolated_atoms:
            energies = _isolated_atoms(path, keys, units)
        else:
            sources.append(Source(make_reader(entry.format, [path], keys, units, options)))
    reading = Reading(
        sources,
        bad_frames=config.bad_frames,
        limit=config.limit,
        rest=config.unassigned,
        workers=workers,
    )
    reading.reference_energies.update(energies)
    return reading


def _isolated_atoms(path: Path, keys: LabelKeys, units: Units) -> dict[int, float]:
    """Return atomic number -> energy in eV of a file of single atoms."""
    only_energies = LabelKeys(energy=keys.energy)
    reader = make_reader("auto", [path], only_energies, units, {"labels": ["energy"]})
    energies = {}
    for record in reader.records():
        if isinstance(record, UserError):
            raise record
        if len(record.structure) != 1:
            raise UserError(
                f"{record.where}: {len(record.structure)} atoms in a file of isolated atoms; "
                "name a file with one atom a frame under isolated_atoms"
            )
        energies[int(record.structure.numbers[0])] = record.structure.energy
    return energies
