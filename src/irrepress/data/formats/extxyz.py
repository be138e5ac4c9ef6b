"""Extended XYZ, plain or compressed by gzip, bzip2 or xz.

The main process only finds the boundaries of frames. ASE parses them one by one in the workers:
parsing all frames of a chunk at once would be 5 % faster, but could not identify bad ones. This
module handles what ASE misinterprets (case of keys, strings under ``pbc``) or cannot read (a stress
of six numbers, Fortran's exponents, names of atoms).
"""

import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from ase.io.extxyz import read_xyz

from irrepress.core.errors import UserError
from irrepress.data.formats.archive_members import is_archive
from irrepress.data.formats.base import Reader, Record, Remark, gather, nothing_in
from irrepress.data.formats.columns import SPECIES, Columns, columns_of
from irrepress.data.formats.comment import FORTRAN, parse_comment, with_exponents
from irrepress.data.formats.compression import DAMAGE, damaged, open_binary
from irrepress.data.formats.file_kinds import kind_of, wrong_kind
from irrepress.data.formats.frame import Frame
from irrepress.data.formats.species import atomic_numbers
from irrepress.data.formats.texts import lines_of, text_in_utf8

_PLAIN = "species:S:1:pos:R:3"
_TEXT = (None, "gzip", "bzip2", "xz")
# A larger number must be wrong, and would read the rest of the file as one frame.
_MOST_ATOMS = 10_000_000
_MOST_BYTES = 1 << 30


class FrameText(NamedTuple):
    """The lines of one frame.

    Attributes:
        source: name of the file in messages.
        names: path of the file and, in an archive, of the member.
        place: index of the frame in the file.
        text: lines of the frame, from the number of atoms to the last atom, in UTF-8.

    Example:
        >>> lines = [b"1", b"", b"He 0 0 0"]
        >>> frame = FrameText("helium.xyz", ("helium.xyz",), 0, bytes([10]).join(lines))
        >>> read_frame(frame.text.decode(), "helium.xyz: frame 0").numbers
        array([2])
    """

    source: str
    names: tuple[str, ...]
    place: int
    text: bytes


class ExtxyzReader(Reader):
    """Reads extended XYZ files; a chunk is a list of `FrameText`.

    Example:
        >>> import ase.io
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "silicon.xyz"
        >>> ase.io.write(path, structures[0].to_atoms(), format="extxyz")
        >>> [record.structure.energy for record in ExtxyzReader([path]).records()]
        [-10.8]
    """

    def _check(self, path: Path) -> None:
        super()._check(path)
        kind = kind_of(path)
        if kind not in _TEXT or is_archive(path):
            raise wrong_kind(path, "extended XYZ", kind if kind not in _TEXT else "tar")

    def chunks(self) -> Iterator[list[FrameText]]:
        """See `Reader.chunks`."""
        return gather(self._frames())

    def parse(self, chunk: list[FrameText]) -> Iterator[Record | Remark | UserError]:
        """See `Reader.parse`."""
        for source, names, index, text in chunk:
            where = f"{source}: frame {index}"
            try:
                frame = read_frame(text.decode(), where)
            except Exception as error:  # ASE raises errors of many types on bad input
                yield UserError(
                    f"{where} cannot be read ({type(error).__name__}: {error}); correct or remove "
                    "it, or write the file again as extxyz"
                )
            else:
                yield self._record(frame, *names)

    def _frames(self) -> Iterator[tuple[int, FrameText]]:
        for path in self.paths:
            found = False
            with open_binary(path) as stream:
                for size, frame in frames_of(stream, str(path), (str(path),)):
                    yield size, frame
                    found = True
            if not found:
                raise nothing_in(path)


def read_frame(text: str, where: str) -> Frame:
    """Return a frame from its lines.

    Args:
        text: the frame's lines, from the number of atoms to the last atom.
        where: file and frame.

    Raises:
        Exception: if the input is bad; the type depends on the error in ASE.
    """
    notes: list[str] = []
    columns: list[Columns] = []
    apart: dict[str, Any] = {}

    def parse(line: str) -> dict[str, Any]:
        info = parse_comment(line, notes)
        columns.append(columns_of(info.get("Properties", _PLAIN)))
        # ASE would read six numbers in its own order, and fails for strings.
        stress: Any = info.get("stress")
        if np.shape(stress) == (6,) or isinstance(stress, str):
            apart["stress"] = info.pop("stress")
        return {**info, "Properties": columns[0].properties}

    try:
        atoms = next(read_xyz(io.StringIO(text), 0, properties_parser=parse))
    except ValueError:
        text, found = with_exponents(text)
        if not found:
            raise
        columns.clear()
        atoms = next(read_xyz(io.StringIO(text), 0, properties_parser=parse))
        notes.append(FORTRAN)
    # With cells on VEC lines ASE does not parse the comment.
    if columns:
        notes += columns[0].notes
        names = atoms.arrays.pop(SPECIES, None)
        if names is not None and not columns[0].numbered:
            atoms.numbers, told = atomic_numbers(names.tolist())
            notes += told
        row = text.split("\n", 3)[2]
        if len(row.split()) > columns[0].count:
            notes.append("columns beyond those that Properties names not read")
    return Frame.from_atoms(atoms, where, apart, list(dict.fromkeys(notes)))


def frames_of(
    stream: BinaryIO, source: str, names: tuple[str, ...]
) -> Iterator[tuple[int, FrameText]]:
    """Yield size and text of each frame of a stream, which is read sequentially.

    Args:
        stream: extended XYZ.
        source: name of the stream in messages.
        names: names for `FrameText`.

    Raises:
        UserError: if the stream is damaged or ends within a frame, or the beginning of a frame is
            invalid.
    """
    index = 0
    try:
        rows = lines_of(text_in_utf8(stream), source)
        line = _next_line(rows)
        while line:
            where = f"{source}: frame {index}"
            count = _atom_count(line, where)
            lines = [line, *_within(islice(rows, count + 1), where)]
            if len(lines) < count + 2 or _is_cut(lines):
                raise UserError(
                    f"{where}: the file ends within its {count} atoms; it is cut off, copy or "
                    "download it again"
                )
            line = next(rows, b"")
            while line.lstrip().startswith(b"VEC"):  # an old format of the cell
                lines.append(line)
                line = next(rows, b"")
            text = b"".join(lines)
            yield len(text), FrameText(source, names, index, text)
            line = line if line.strip() else _next_line(rows)
            index += 1
    except DAMAGE as error:
        raise damaged(f"{source}: frame {index}", error) from error


def _is_cut(lines: list[bytes]) -> bool:
    """Return whether the last row is truncated: no line end and fewer columns."""
    last, before = lines[-1], lines[-2]
    return not last.endswith(b"\n") and len(lines) > 3 and len(last.split()) < len(before.split())


def _next_line(lines: Iterator[bytes]) -> bytes:
    """Return the next line that is not blank; empty at the end."""
    return next((line for line in lines if line.strip()), b"")


def _within(lines: Iterator[bytes], where: str) -> Iterator[bytes]:
    """Yield lines up to the size limit of a frame."""
    size = 0
    for line in lines:
        size += len(line)
        if size > _MOST_BYTES:
            raise UserError(
                f"{where}: it has more than {_MOST_BYTES >> 20} MiB; check its number of atoms"
            )
        yield line


def _atom_count(line: bytes, where: str) -> int:
    text = line.strip()
    if not text.isdigit() or len(text) > 20 or int(text) > _MOST_ATOMS:
        found = text[:40].decode(errors="replace")
        raise UserError(
            f"{where}: expected a number of atoms, found {found!r}; the frame before it may have "
            "too many or too few lines"
        )
    return int(text)
