"""What a reader is: it cuts a source into chunks, and parses chunks, in other processes too."""

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
from irrepress.data.formats.file_kinds import check_readable
from irrepress.data.formats.frame import Frame, LeftOut
from irrepress.data.formats.labels import LabelReader
from irrepress.data.formats.selection import Selection

# A chunk is what one process parses at a time: enough to be worth sending, little to hold.
CHUNK_FRAMES = 256
CHUNK_BYTES = 4 << 20
# Options that every reader takes.
_COMMON_OPTIONS = frozenset({"parts", "labels", "group_pattern", "select", "unlabelled"})

Item = TypeVar("Item")


@dataclass(frozen=True)
class Record:
    """A structure as read, with what the file says about it.

    Attributes:
        structure: labels in eV, eV/Å, eV/Å^3 (ASE's sign and order); absent labels are NaN.
        where: such as ``file: frame 3``, to begin messages with.
        part: official part, ``train``, ``valid`` or ``test``; None if the source does not say.
        isolated_atom: its energy is that of a single atom: a reference, no training structure.
        notes: what reading it noticed and did; see `notes`.
        level: key and value that say how its labels were computed, such as ``("head", "pbe")``.

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
    """A note on a whole file, or on a frame that is left out on purpose.

    Attributes:
        text: a note; see `notes`.
        where: file, or file and frame.

    Example:
        >>> Remark("D taken as hydrogen", "silicon.xyz").where
        'silicon.xyz'
    """

    text: str
    where: str


class Reader(ABC):
    """Cuts a source into chunks (cheap, in one pass) and parses chunks (in several processes).

    Readers can be pickled. Every reader takes these options:

    - ``parts``: glob -> part. The first glob that matches the file's path or name, or an
      archive member's path or name, says which part the frames belong to.
    - ``labels``: labels that every frame must have, for sources that are known; if it is not
      given, any label will do; see `labels.LabelReader`.
    - ``select``: see `selection.Selection`.
    - ``group_pattern`` and ``unlabelled``: see `labels.LabelReader`.

    Attributes:
        remarks: what `chunks` noticed of whole files; it is filled as they are read. (`parse`,
            which may run in another process, yields its remarks.)

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
    UNITS: ClassVar[Mapping[str, str]] = {}  # where the format itself fixes units

    def __init__(
        self,
        paths: Sequence[Path],
        keys: LabelKeys | None = None,
        units: Units | None = None,
        options: Mapping[str, Any] | None = None,
    ):
        """Check that the source looks right; nothing is read yet.

        Args:
            paths: files or directories that belong together, read one after another.
            keys: where the labels are; not given means where ASE puts them.
            units: units of the source; not given means eV, Å, eV/Å^3. Units that the format
                fixes win.
            options: see the class.

        Raises:
            UserError: a file is missing, empty, or not of this format.
            ValueError: an option is unknown.
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
        )
        self._selection = Selection(self.options.get("select", {}))
        for path in self.paths:
            self._check(path)

    @abstractmethod
    def chunks(self) -> Iterator[Any]:
        """Yield the source in pieces that can be pickled, in its order and in bounded memory.

        A piece holds what it needs: no temporary file must outlive it.

        Raises:
            UserError: a file is cut off, damaged, or holds no structures.
        """

    @abstractmethod
    def parse(self, chunk: Any) -> Iterator[Record | Remark | UserError]:
        """Yield what a chunk holds, in order; it depends on nothing but the chunk.

        A bad frame is yielded as the error that names file, frame, value and correction, so that a
        caller may leave it out. Remarks may stand between the frames.

        Raises:
            UserError: the file is damaged.
        """

    def records(self) -> Iterator[Record | Remark | UserError]:
        """Yield all chunks, parsed in this process."""
        for chunk in self.chunks():
            yield from self.parse(chunk)

    def _check(self, path: Path) -> None:
        """Raise UserError if a path cannot be a source of this reader."""
        check_readable(path)

    def _record(
        self, frame: Frame, *names: str, part: str | None = None
    ) -> Record | Remark | UserError:
        """Return the record of a frame, why it is left out, or what is wrong with it.

        Args:
            frame: what the file says.
            names: path of the file and, in an archive, of the member: they tell the part.
            part: official part, if the source itself says it.
        """
        if (reason := self._selection.refusal(frame)) is not None:
            return Remark(f"left out: {reason}", frame.where)
        try:
            structure = self._labels.structure(frame)
            check_structure(structure, frame.where)
        except LeftOut as reason:
            return Remark(f"left out: {reason}", frame.where)
        except UserError as error:
            return error.with_traceback(None)
        isolated = frame.is_isolated_atom
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
                # A path may itself hold characters of a glob.
                if name == glob or fnmatchcase(name, glob):
                    return part
                if fnmatchcase(PurePosixPath(name).name, glob):
                    return part
        return None


def gather(items: Iterable[tuple[int, Item]]) -> Iterator[list[Item]]:
    """Gather items with their sizes in bytes into chunks of bounded length and size.

    An item that is larger than a chunk makes one of its own.
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
    """Return how many frames of one size make a chunk; of small ones, if it is not known."""
    return max(1, min(CHUNK_FRAMES, CHUNK_BYTES // max(frame_bytes, 1)))


def nothing_in(path: Path) -> UserError:
    """Return the error for a file without structures."""
    return UserError(f"{path}: there are no structures in this file; remove it from paths")
