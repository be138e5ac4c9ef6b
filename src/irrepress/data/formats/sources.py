"""Files as they come: what they are, decompressed, unpacked, and what their damage is called."""

import bz2
import codecs
import errno
import gzip
import io
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO

from irrepress.core.errors import UserError
from irrepress.core.files import owner_mark, remove_leftovers

_OPENERS = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
_SUFFIXES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".tgz": "gzip", ".tbz2": "bzip2"}
# Where a kind's mark stands, what it is, and what messages call the kind. HTML is looked for
# apart, for it may begin with white space.
_MARKS = {
    "gzip": (0, b"\x1f\x8b", "a file compressed by gzip"),
    "bzip2": (0, b"BZh", "a file compressed by bzip2"),
    "xz": (0, b"\xfd7zXZ\x00", "a file compressed by xz"),
    "zip": (0, b"PK\x03\x04", "a zip archive"),
    "empty zip": (0, b"PK\x05\x06", "an empty zip archive"),
    "HDF5": (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    "SQLite": (0, b"SQLite format 3\x00", "an SQLite database"),
    "LMDB": (16, b"\xde\xc0\xef\xbe", "an LMDB database"),
    "tar": (257, b"ustar", "a tar archive"),
    "trajectory": (0, b"- of Ulm", "a trajectory of ASE"),
    "NumPy": (0, b"\x93NUMPY", "a NumPy array"),
    "PDF": (0, b"%PDF-", "a PDF document"),
    "web page": (0, b"<html", "a web page"),
}
_HEAD = 512
_BUFFER = 1 << 20  # bytes that are decompressed ahead
# Of texts; a comment line of extended XYZ has some hundred bytes.
MOST_LINE = 1 << 24
# Structures compress to a tenth; gzip makes a thousandth of a file of zeros.
_MOST_RATIO = 200
_LEAST_BOUND = 1 << 28  # bytes; less does no harm, whatever it was compressed from
_ANSWERS = {
    "web page": "the server sent a page in place of the file, download it again",
    "SQLite": "set format: ase-db",
    "LMDB": "set format: ase-db",
    "HDF5": "set format: mace-hdf5, if MACE wrote it",
    "zip": "set format: extxyz-archive, if it holds extxyz files",
    "tar": "set format: extxyz-archive, if it holds extxyz files",
    "trajectory": "set format: ase",
}
# What decompressing a damaged file raises. OSError: bz2 says so without a class of its own.
DAMAGE = (
    EOFError,
    OSError,
    lzma.LZMAError,
    zlib.error,
    zipfile.BadZipFile,
    tarfile.TarError,
)


def check_readable(path: Path) -> None:
    """Check that a file is there.

    Raises:
        UserError: it is missing, a directory, empty, or may not be read.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a directory; name the files in it")
    try:
        with path.open("rb") as stream:
            first = stream.read(1)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); correct the name under paths"
        ) from error
    if not first:
        raise UserError(f"{path}: the file is empty; copy or download it again")


def kind_of(path: Path) -> str | None:
    """Return what the first bytes of a file tell: gzip, zip, tar, HDF5, web page, ...; or None."""
    with path.open("rb") as stream:
        return kind_of_bytes(stream.read(_HEAD))


def kind_of_bytes(head: bytes) -> str | None:
    """Return what the first 512 bytes of a file tell, as `kind_of`."""
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "web page"
    for kind, (offset, mark, _) in _MARKS.items():
        if head[offset : offset + len(mark)] == mark:
            return kind
    return None


def wrong_kind(path: Path | str, expected: str, kind: str | None) -> UserError:
    """Return the error for a file that is something else than its format says.

    Args:
        path: file, or file and member.
        expected: what it should be, such as ``an archive``.
        kind: what `kind_of` found.
    """
    found = f"this is {_MARKS[kind][2]}" if kind else "it does not look like that"
    answer = _ANSWERS.get(kind or "", "set format to what it is, or download it again")
    return UserError(f"{path}: expected {expected}, but {found}; {answer}")


def is_compressed(path: Path) -> bool:
    """Tell whether a file is compressed, by its first bytes, or should be, by its name."""
    return kind_of(path) in _OPENERS or path.suffix.lower() in _SUFFIXES


def open_binary(path: Path) -> BinaryIO:
    """Open a file, decompressed if it is compressed by gzip, bzip2 or xz.

    Raises:
        UserError: its name says that it is compressed, and it is not.
    """
    kind = kind_of(path)
    named = _SUFFIXES.get(path.suffix.lower())
    if named is not None and kind not in _OPENERS:
        if kind is None:
            raise UserError(
                f"{path}: the compressed file is cut off or damaged (it does not begin as {named} "
                "files do); copy or download it again"
            )
        raise wrong_kind(path, f"a file compressed by {named}", kind)
    if kind not in _OPENERS:
        return io.BufferedReader(path.open("rb"), _BUFFER)
    # Decompressors read lines in Python; a buffer around them reads lines in C.
    return io.BufferedReader(_Expanding(_OPENERS[kind](path, "rb"), path), _BUFFER)


class _Expanding(io.RawIOBase):
    """What a decompressor gives, until it is more than any data make of a file of this size."""

    def __init__(self, stream: IO[bytes], path: Path):
        self._stream = stream
        self._path = path
        self._most = max(_LEAST_BOUND, _MOST_RATIO * path.stat().st_size)
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        data = self._stream.read(len(target))
        target[: len(data)] = data
        self._count += len(data)
        if self._count > self._most:
            raise UserError(
                f"{self._path}: the compressed file expands to more than {_MOST_RATIO} times its "
                "size, as no structures do; decompress it yourself if you trust it"
            )
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def lines_of(stream: BinaryIO, where: str) -> Iterator[bytes]:
    """Yield the lines of a text, with their ends; none may be longer than `MOST_LINE`.

    Args:
        stream: the text.
        where: what messages call it.

    Raises:
        UserError: a line is longer, which would fill the memory.
    """
    while line := stream.readline(MOST_LINE):
        if len(line) == MOST_LINE and not line.endswith(b"\n"):
            raise UserError(
                f"{where}: a line is longer than {MOST_LINE >> 20} MiB; this is no text of "
                "structures, set format to what it is"
            )
        yield line


# What a text may begin with, and how the rest of it is then written.
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def encoding_of(head: bytes) -> str | None:
    """Return the encoding that a text's byte-order mark tells; None if it has none."""
    marks = _BYTE_ORDER_MARKS.items()
    return next((encoding for mark, encoding in marks if head.startswith(mark)), None)


def in_utf8(head: bytes) -> bytes:
    """Return the beginning of a text in UTF-8 and without a byte-order mark."""
    encoding = encoding_of(head)
    if encoding is None:
        return head
    return codecs.getincrementaldecoder(encoding)("replace").decode(head).encode()


def text_in_utf8(stream: BinaryIO) -> BinaryIO:
    """Return a text as UTF-8 without a byte-order mark, which editors and shells may have written.

    Args:
        stream: text in UTF-8, or in UTF-16 or UTF-32 with their marks. One of `DAMAGE` is raised
            if it is damaged at its beginning.
    """
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)
    encoding = encoding_of(buffered.peek(4)[:4])
    if encoding is None:
        return buffered
    if encoding == "utf-8-sig":
        buffered.read(len(codecs.BOM_UTF8))
        return buffered
    return io.BufferedReader(_Recoded(buffered, encoding), _BUFFER)


class _Recoded(io.RawIOBase):
    """A stream of text in one encoding as the bytes of the same text in UTF-8."""

    def __init__(self, stream: BinaryIO, encoding: str):
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._ahead = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ahead:
            data = self._stream.read(_BUFFER)
            self._ahead = self._decoder.decode(data, final=not data).encode()
            if not data:
                break
        taken = self._ahead[: len(buffer)]
        buffer[: len(taken)] = taken
        self._ahead = self._ahead[len(taken) :]
        return len(taken)


def damaged(where: str, error: BaseException) -> UserError:
    """Return the error for a file that cannot be read on, because of one of `DAMAGE`."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return UserError(
            f"{where}: there is no space in the temporary directory {tempfile.gettempdir()} to "
            "unpack it; set TMPDIR to a directory with more"
        )
    reason = str(error) or type(error).__name__
    return UserError(
        f"{where}: the compressed file is cut off or damaged ({reason}); copy or download it again"
    )


@contextmanager
def temporary_file(stream: IO[bytes], name: str, where: str) -> Iterator[Path]:
    """Copy a stream to a temporary file of this name, for libraries that need a file.

    Args:
        stream: read to its end.
        name: name of the file; a directory is made for it.
        where: what messages call the stream.

    Raises:
        UserError: the stream is damaged, or there is no space.
    """
    with temporary_directory() as directory:
        path = directory / name
        try:
            with path.open("wb") as target:
                shutil.copyfileobj(stream, target, 1 << 20)
        except DAMAGE as error:
            raise damaged(where, error) from error
        yield path


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """Give a directory that is removed afterwards, or, after a kill, when the next is given."""
    remove_leftovers(Path(tempfile.gettempdir()), "irrepress-")
    with tempfile.TemporaryDirectory(prefix=f"irrepress-{owner_mark()}") as directory:
        yield Path(directory)


def head_of(path: Path) -> bytes:
    """Return the first 512 bytes of a file, of what is in it if it is compressed.

    Raises:
        UserError: it is damaged at its beginning.
    """
    opener = _OPENERS.get(kind_of(path) or "", open)
    try:
        with opener(path, "rb") as stream:
            return stream.read(_HEAD)
    except DAMAGE as error:
        raise damaged(str(path), error) from error


def is_archive(path: Path) -> bool:
    """Tell whether a file is a zip or a (compressed) tar archive.

    Raises:
        UserError: it is damaged at its beginning.
    """
    return kind_of(path) in ("zip", "empty zip") or kind_of_bytes(head_of(path)) == "tar"


def members(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    """Yield name and content of the files in a zip or tar archive, in its order.

    Nothing is unpacked to disk, and a tar archive is read once, forward. A stream must be read
    before the next one is asked for. Files that operating systems hide are left out.

    Raises:
        UserError: it is no archive, or it is cut off or damaged.
    """
    if not is_archive(path):
        raise wrong_kind(path, "a zip or tar archive", kind_of(path))
    name = ""
    try:
        for name, stream in (_zip if kind_of(path) in ("zip", "empty zip") else _tar)(path):
            parts = PurePosixPath(name).parts
            # A member may be called "." or "/", which leaves no name at all.
            if parts and "__MACOSX" not in parts and not parts[-1].startswith((".", "/")):
                yield name, stream
    except DAMAGE as error:
        raise damaged(f"{path}: {name}" if name else str(path), error) from error


def _zip(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if info.flag_bits & 1:
                raise UserError(f"{path}: {info.filename} is encrypted; unpack it yourself")
            if info.file_size > max(_LEAST_BOUND, _MOST_RATIO * info.compress_size):
                raise UserError(
                    f"{path}: {info.filename} expands to more than {_MOST_RATIO} times its size, "
                    "as no structures do; unpack it yourself if you trust it"
                )
            with archive.open(info) as stream:
                yield info.filename, io.BufferedReader(stream, 1 << 16)


def _tar(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    with open_binary(path) as source:
        with tarfile.open(fileobj=source, mode="r|") as archive:
            while (member := archive.next()) is not None:
                # It would remember every member, and some archives have a million.
                archive.members.clear()
                stream = archive.extractfile(member) if member.isfile() else None
                if stream is not None:
                    yield member.name, stream
        # tarfile takes a header that is cut off for the end; the decompressor then knows of it.
        while source.read(1 << 20):
            pass
    if kind_of(path) == "tar" and not _ends_as_tar(path):
        raise tarfile.ReadError("the end is missing")


def _ends_as_tar(path: Path) -> bool:
    """Tell whether a plain tar archive ends with a block of zeros."""
    with path.open("rb") as stream:
        stream.seek(-_HEAD, io.SEEK_END)
        return not any(stream.read())
