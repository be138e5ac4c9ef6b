"""Reading of the structures of a dataset from its source."""

import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from irrepress.catalogue.datasets.registry import get_published
from irrepress.core.errors import UserError
from irrepress.core.quantities import QUANTITIES
from irrepress.core.structure import Structure
from irrepress.data.checks import unit_remarks
from irrepress.data.config import Files, LabelKeys, Published, Units
from irrepress.data.formats.base import Reader, Record, Remark
from irrepress.data.formats.label_finder import lack_of
from irrepress.data.formats.mace_hdf5 import SUFFIXES as HDF5_SUFFIXES
from irrepress.data.formats.mace_hdf5 import is_of_mace
from irrepress.data.formats.registry import make_reader
from irrepress.data.isolated_atoms import IsolatedAtoms, read_isolated_atoms
from irrepress.data.notes import Notes
from irrepress.data.parallel import ordered_map
from irrepress.data.paths import Located, locate
from irrepress.data.splits import OfficialParts

logger = logging.getLogger(__name__)

# Maximum number of bad frames to log individually; others are only counted.
_MOST_MESSAGES = 20


@dataclass(frozen=True)
class Source:
    """One file of a dataset.

    Attributes:
        reader: reader of the file.
        part: the split that the entire file belongs to; None if the reader determines it, or there
            is none.

    Example:
        >>> from irrepress.data.formats.atoms import AtomsReader
        >>> reader = AtomsReader([structure.to_atoms() for structure in structures])
        >>> Source(reader, part="train").part
        'train'
    """

    reader: Reader
    part: str | None = None


class Reading:
    """A single pass over the structures of a dataset, with notes on them.

    Attributes:
        official: the official splits of the structures read so far.
        skipped: number of bad frames skipped so far.
        notes: notes so far, counted by kind.

    Example:
        >>> from irrepress.data.formats.atoms import AtomsReader
        >>> source = Source(AtomsReader([structure.to_atoms() for structure in structures]))
        >>> [structure.energy for structure in Reading([source], limit=2)]
        [-10.8, -10.8]
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
            sources: the files, in reading order.
            bad_frames: whether to stop at bad frames or skip them.
            limit: maximum number of frames per source.
            rest: where structures outside the official splits go; see `OfficialParts`.
            workers: number of parsing processes.
        """
        self.official = OfficialParts(rest)
        self._isolated = IsolatedAtoms()
        self.skipped = 0
        self.notes = Notes()
        self._sources = sources
        self._bad_frames = bad_frames
        self._limit = limit
        self._workers = workers
        self._levels: dict[str, tuple[str, str]] = {}

    @property
    def reference_energies(self) -> dict[int, float]:
        """Atomic number -> energy in eV of the isolated atoms found so far."""
        return self._isolated.energies

    def give_references(self, energies: Mapping[int, float]) -> None:
        """Set reference energies that take precedence over isolated atoms among the structures.

        Args:
            energies: atomic number -> energy in eV.
        """
        self._isolated.give(energies)

    def __iter__(self) -> Generator[Structure, None, None]:
        """Yield the structures.

        Raises:
            UserError: if a source is damaged or has a bad frame (unless they are skipped), frames
                have different levels of theory, isolated atoms of one element have different
                energies, no frame has a label under a given key, or no frame is selected.
        """
        return (structure for _, structure in self.located())

    def located(self) -> Iterator[tuple[str, Structure]]:
        """Yield file and frame with every structure; see `__iter__`."""
        index = 0
        unlevelled = (0, "")  # number of frames without a level of theory, and the first one
        missing = {
            (name, key)
            for source in self._sources
            for name in QUANTITIES
            if (key := getattr(source.reader.keys, name))
        }
        for number, record in self._records():
            if isinstance(record, UserError):
                self._skip(record)
                continue
            for text in record.notes:
                self.notes.add(text, record.where)
            if record.level is not None:
                self._check_level(record, record.level)
            elif not record.isolated_atom:
                unlevelled = (unlevelled[0] + 1, unlevelled[1] or record.where)
            if record.isolated_atom:
                self._isolated.take(record, self.notes)
            else:
                if missing:
                    missing = {
                        (name, key)
                        for name, key in missing
                        if np.isnan(getattr(record.structure, name)).any()
                    }
                self.official.add(index, record.part or self._sources[number].part)
                yield record.where, record.structure
                index += 1
        self._check_found(index, missing)
        for key, (value, _) in self._levels.items():
            if unlevelled[0]:
                text = f"no {key}, though other frames have one ({value})"
                self.notes.add(text, unlevelled[1], unlevelled[0])

    def _check_found(self, count: int, missing: set[tuple[str, str]]) -> None:
        """Raise UserError if the source has none of the requested frames or labels."""
        notes = list(self.notes)
        if count == 0:
            for note in notes:
                if note.text.startswith("left out: "):
                    raise UserError(
                        f"{note.first}: no frame is left ({note.text}, {note.count:,} times); "
                        "change select, or the weights"
                    )
            return
        for name, key in sorted(missing):
            for note in notes:
                if note.text.startswith(lack_of(name, key)):
                    raise UserError(
                        f"{note.first}: {note.text}, and no other frame has it either; set "
                        f"keys.{name} to the right one, or remove it"
                    )
                if note.text.startswith(f"{name} of weight zero") or (
                    name == "stress" and note.text.startswith("virial of a structure without")
                ):
                    raise UserError(
                        f"{note.first}: {note.text}, and no other frame has a usable {name} "
                        f"either; remove keys.{name}, or correct the file"
                    )

    def _check_level(self, record: Record, level: tuple[str, str]) -> None:
        """Raise UserError if the labels have another level of theory than those before."""
        key, value = level
        first, where = self._levels.setdefault(key, (value, record.where))
        if value != first:
            raise UserError(
                f"{record.where}: its {key} is {value}, but that of {where} is {first}; labels of "
                "different levels of theory must not be mixed. Choose with select: "
                f"{{{key}: {first}}}, or allow several: {{{key}: [{first}, {value}]}}"
            )

    def _records(self) -> Iterator[tuple[int, Record | UserError]]:
        """Yield all records with the index of their source."""
        groups: list[Sequence[int]] = [range(len(self._sources))]
        if self._limit is not None:
            # One source at a time, so that processes do not parse beyond the limit.
            groups = [[number] for number in groups[0]]
        for numbers in groups:
            with closing(self._parsed(numbers)) as records:
                read = 0
                for number, record in records:
                    yield number, record
                    # Isolated atoms are references and do not count towards the limit.
                    read += not (isinstance(record, Record) and record.isolated_atom)
                    if read == self._limit:
                        break

    def _parsed(
        self, numbers: Sequence[int]
    ) -> Generator[tuple[int, Record | UserError], None, None]:
        chunks = (
            (number, place, chunk)
            for number in numbers
            for place, chunk in enumerate(self._sources[number].reader.chunks())
        )
        try:
            with closing(ordered_map(self._parse, chunks, self._workers)) as results:
                for number, records in results:
                    for record in records:
                        if isinstance(record, Remark):
                            self._remark(record)
                            continue
                        yield number, record
        finally:
            for number in numbers:
                for remark in self._sources[number].reader.remarks:
                    self._remark(remark)

    def _remark(self, remark: Remark) -> None:
        self.notes.add(remark.text, remark.where)

    def _parse(self, task: tuple[int, int, Any]) -> tuple[int, list[Record | Remark | UserError]]:
        number, place, chunk = task
        reader = self._sources[number].reader
        records = list(reader.parse(chunk))
        if place == 0:
            first = next((record for record in records if isinstance(record, Record)), None)
            if first is not None:
                # Done here so that the main process does not need the library for neighbour lists,
                # which takes much memory.
                remarks = unit_remarks(first.structure, reader.units)
                records += [Remark(text, first.where) for text in remarks]
        return number, records

    def _skip(self, error: UserError) -> None:
        if self._bad_frames == "stop":
            raise UserError(f"{error} (or set bad_frames: skip)")
        self.skipped += 1
        self.notes.add("bad frame left out", str(error))
        if self.skipped <= _MOST_MESSAGES:
            logger.warning("left out: %s", error)


def is_store(path: str | Path) -> bool:
    """Return whether a path looks like a store by its name and is not a file of MACE."""
    path = Path(path)
    return path.suffix in HDF5_SUFFIXES and not is_of_mace(path)


def read_files(
    config: Files,
    workers: int = 1,
    located: Located | None = None,
    *,
    unlabelled: bool = False,
) -> Reading:
    """Prepare to read the user's files.

    Args:
        config: the dataset.
        workers: number of parsing processes.
        located: its files and folders; None: look them up.
        unlabelled: whether frames without any label are taken as well.

    Raises:
        UserError: if a file is missing, empty or of another format; see also `Reading`.
    """
    located = located or locate(config)
    options = {
        "select": config.select,
        "unlabelled": unlabelled,
        "structures_only": config.labels is not None,
    }
    sources = [
        Source(make_reader(config.format, [path], config.keys, config.units, options), part)
        for key, part in (("paths", None), ("valid_paths", "valid"), ("test_paths", "test"))
        for path in located.paths[key]
    ]
    reading = Reading(sources, bad_frames=config.bad_frames, limit=config.limit, workers=workers)
    for remark in located.remarks:
        reading.notes.add(*remark)
    for path in located.paths["isolated_atoms"]:
        reading.give_references(read_isolated_atoms(path, config.keys, config.units))
    return reading


def read_published(config: Published, directory: Path, workers: int = 1) -> Reading:
    """Prepare to read a published dataset.

    Args:
        config: its name and how to read it.
        directory: download directory, which holds ``COLLECTION/FILE``.
        workers: number of parsing processes.

    Raises:
        UserError: if a file is missing or damaged; see also `Reading`.
    """
    entry = get_published(config.name)
    keys, units = LabelKeys(**entry.keys), Units(**entry.units)
    options = {"labels": [name for name in entry.labels if name != "stress"], **entry.options}
    if config.labels is not None:
        options["structures_only"] = True
    if "fold" in options:
        options["fold"] = config.fold
    energies: dict[int, float] = {}
    sources = []
    for file in entry.files:
        path = directory / entry.collection / file.name
        if not path.exists():
            raise UserError(
                f"{path}: the downloaded file is missing; delete {path.name}.json beside it to "
                "download it again"
            )
        if file.name == entry.isolated_atoms:
            energies = read_isolated_atoms(path, keys, units)
        else:
            sources.append(Source(make_reader(entry.format, [path], keys, units, options)))
    reading = Reading(
        sources,
        bad_frames=config.bad_frames,
        limit=config.limit,
        rest=config.unassigned,
        workers=workers,
    )
    if config.labels is None:
        reading.give_references(energies)
    return reading
