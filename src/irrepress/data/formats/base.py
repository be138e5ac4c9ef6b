"""The interface of readers, which divide sources into chunks and parse these in parallel."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, TypeVar

from irrepress.core.errors import UserError
from irrepress.core.structure import Structure
from irrepress.data.checks import check_structure, remarks_on
from irrepress.data.config import LabelKeys, Units
from irrepress.data.formats.cif import check_occupancies
from irrepress.data.formats.file_kinds import check_readable
from irrepress.data.formats.frame import Frame, LeftOut
from irrepress.data.formats.labels import LabelReader
from irrepress.data.formats.selection import Selection
from irrepress.data.unlabelled import remarks_on_small_cells

# Limits on a chunk, which one process parses at a time.
CHUNK_FRAMES = 256
CHUNK_BYTES = 4 << 20
# Options of all readers.
_COMMON_OPTIONS = frozenset(
    {"parts", "labels", "group_pattern", "select", "unlabelled", "structures_only"}
)

Item = TypeVar("Item")


@dataclass(frozen=True)
class Record:
    """A structure as read, with information from the file.

    Attributes:
        structure: the structure; labels in eV, eV/Å, eV/Å^3 (ASE's sign and order), NaN if missing.
        where: file and frame, such as ``file: frame 3``, with which messages begin.
        part: official split, ``train``, ``valid`` or ``test``; None if the source has none.
        isolated_atom: whether it is an isolated atom, whose energy is a reference.
        notes: notes from reading it; see `notes`.
        level: key and value that identify the level of theory, such as ``("head", "pbe")``.

    Example:
        >>> record = Record(structures[0], "silicon.xyz: frame 0", part="train")
        >>> record.structure.energy, record.part
        (-10.8, 'train')
    """

    structure: Structure
    where: str
    part: str | None = None
    isolated_atom: bool = False
    notes: tuple[str, ...] = ()
    level: tuple[str, str] | None = None


@dataclass(frozen=True)
class Remark:
    """A note on an entire file, or on a frame that is left out intentionally.

    Attributes:
        text: text of the note; see `notes`.
        where: file, or file and frame.

    Example:
        >>> Remark("D taken as hydrogen", "silicon.xyz").where
        'silicon.xyz'
    """

    text: str
    where: str


class Reader(ABC):
    """Divides a source into chunks (cheap, sequential) and parses chunks (in several processes).

    Readers can be pickled. All readers have these options:

    - ``parts``: glob -> split. The first glob that matches the path or name of the file or archive
      member determines the split of its frames.
    - ``labels``: labels that every frame must have; by default, any label suffices; see
      `labels.LabelReader`.
    - ``select``: see `selection.Selection`.
    - ``group_pattern``, ``unlabelled`` and ``structures_only``: see `labels.LabelReader`.

    Attributes:
        remarks: remarks of `chunks` on entire files, filled during reading. (`parse`, which may run
            in another process, yields its remarks.)

    Example:
        >>> class ListReader(Reader):
        ...     def chunks(self):
        ...         return iter([structures])
        ...
        ...     def parse(self, chunk):
        ...         for structure in chunk:
        ...             yield self._record(Frame.from_atoms(structure.to_atoms(), "a list"))
        >>> len(list(ListReader([]).records()))
        4
    """

    OPTIONS: ClassVar[frozenset[str]] = frozenset()
    UNITS: ClassVar[Mapping[str, str]] = {}  # fixed by the format

    def __init__(
        self,
        paths: Sequence[Path],
        keys: LabelKeys | None = None,
        units: Units | None = None,
        options: Mapping[str, Any] | None = None,
    ):
        """Check the source without reading it.

        Args:
            paths: files or directories of the source, in reading order.
            keys: keys of the labels; None: ASE's results.
            units: units of the source; None: eV, Å, eV/Å^3. Units fixed by the format take
                precedence.
            options: options of the reader; see the class.

        Raises:
            UserError: if a file is missing, empty, or not of this format.
            ValueError: if an option is unknown.
        """
        self.paths = [Path(path) for path in paths]
        self.options = dict(options or {})
        unknown = set(self.options) - self.OPTIONS - _COMMON_OPTIONS
        if unknown:
            raise ValueError(f"{type(self).__name__} has no option {', '.join(sorted(unknown))}")
        self.remarks: list[Remark] = []
        self._parts: dict[str, str] = dict(self.options.get("parts", {}))
        self.keys = keys or LabelKeys()
        self.units = (units or Units()).model_copy(update=dict(self.UNITS))
        self._labels = LabelReader(
            self.keys,
            self.units,
            self.options.get("labels"),
            self.options.get("group_pattern"),
            self.options.get("unlabelled", False),
            self.options.get("structures_only", False),
        )
        self._selection = Selection(self.options.get("select", {}))
        for path in self.paths:
            self._check(path)

    @abstractmethod
    def chunks(self) -> Iterator[Any]:
        """Yield picklable chunks of the source, in order and in bounded memory.

        A chunk must be self-contained, without references to temporary files.

        Raises:
            UserError: if a file is truncated, damaged, or contains no structures.
        """

    @abstractmethod
    def parse(self, chunk: Any) -> Iterator[Record | Remark | UserError]:
        """Yield the records of a chunk, in order, depending only on the chunk.

        A bad frame is yielded as an error that names file, frame, value and correction, so that
        callers can skip it. Remarks may be yielded between frames.

        Raises:
            UserError: if the file is damaged.
        """

    def records(self) -> Iterator[Record | Remark | UserError]:
        """Yield the records of all chunks, parsed in this process."""
        for chunk in self.chunks():
            yield from self.parse(chunk)

    def _check(self, path: Path) -> None:
        """Raise UserError if a path cannot be a source of this reader."""
        check_readable(path)

    def _record(
        self, frame: Frame, *names: str, part: str | None = None
    ) -> Record | Remark | UserError:
        """Return the record of a frame, a remark why it is left out, or an error.

        Args:
            frame: the frame.
            names: path of the file and, in an archive, of the member, which determine the split.
            part: official split, if given by the source itself.
        """
        if (reason := self._selection.refusal(frame)) is not None:
            return Remark(f"left out: {reason}", frame.where)
        try:
            check_occupancies(frame)
            structure = self._labels.structure(frame)
            check_structure(structure, frame.where)
        except LeftOut as reason:
            return Remark(f"left out: {reason}", frame.where)
        except UserError as error:
            return error.with_traceback(None)
        isolated = frame.is_isolated_atom
        if self.options.get("structures_only") and not isolated:
            frame.notes.extend(remarks_on_small_cells(structure))
        return Record(
            structure,
            frame.where,
            part or self._part(*names),
            isolated,
            (*frame.notes, *(remarks_on(structure) if not isolated else ())),
            self._selection.level(frame),
        )

    def _part(self, *names: str) -> str | None:
        for glob, part in self._parts.items():
            for name in names:
                # A path may itself contain glob characters.
                if name == glob or fnmatchcase(name, glob):
                    return part
                if fnmatchcase(PurePosixPath(name).name, glob):
                    return part
        return None


def gather(items: Iterable[tuple[int, Item]]) -> Iterator[list[Item]]:
    """Collect items with sizes in bytes into chunks of bounded length and size.

    An item larger than the limit forms a chunk on its own.
    """
    chunk: list[Item] = []
    total = 0
    for size, item in items:
        if chunk and (len(chunk) == CHUNK_FRAMES or total + size > CHUNK_BYTES):
            yield chunk
            chunk, total = [], 0
        chunk.append(item)
        total += size
    if chunk:
        yield chunk


def frames_per_chunk(frame_bytes: int = 0) -> int:
    """Return the number of frames per chunk for a frame size in bytes; 0: small frames."""
    return max(1, min(CHUNK_FRAMES, CHUNK_BYTES // max(frame_bytes, 1)))


def nothing_in(path: Path) -> UserError:
    """Return the error for a file without structures."""
    return UserError(f"{path}: there are no structures in this file; remove it from paths")
