"""Reading of files that may be compressed, and errors for damaged ones."""

import bz2
import errno
import gzip
import io
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, BinaryIO

from irrepress.core.errors import UserError
from irrepress.data.formats.file_kinds import HEAD, kind_of, wrong_kind

_OPENERS: dict[str, Callable[..., Any]] = {
    "gzip": gzip.open,
    "bzip2": bz2.open,
    "xz": lzma.open,
}
_SUFFIXES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".tgz": "gzip", ".tbz2": "bzip2"}
_BUFFER = 1 << 20  # bytes to decompress ahead
# Structures compress to a tenth of their size, zeros to a thousandth.
MOST_RATIO = 200
LEAST_BOUND = 1 << 28  # bytes; smaller files are harmless for any ratio
# Exceptions raised for damaged files; bz2 raises OSError.
DAMAGE = (
    EOFError,
    OSError,
    lzma.LZMAError,
    zlib.error,
    zipfile.BadZipFile,
    tarfile.TarError,
)


def is_compressed(path: Path) -> bool:
    """Return whether a file is compressed by its first bytes, or should be by its name."""
    return kind_of(path) in _OPENERS or path.suffix.lower() in _SUFFIXES


def open_binary(path: Path) -> BinaryIO:
    """Open a file, decompressing gzip, bzip2 and xz.

    Raises:
        UserError: if it is not compressed although its name says so.
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
    # A buffer reads lines in C, decompressors in Python.
    return io.BufferedReader(_Expanding(_OPENERS[kind](path, "rb"), path), _BUFFER)


class _Expanding(io.RawIOBase):
    """A decompressed stream with a limit on its size relative to the file."""

    def __init__(self, stream: IO[bytes], path: Path):
        self._stream = stream
        self._path = path
        self._most = max(LEAST_BOUND, MOST_RATIO * path.stat().st_size)
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        data = self._stream.read(len(target))
        target[: len(data)] = data
        self._count += len(data)
        if self._count > self._most:
            raise UserError(
                f"{self._path}: the compressed file expands to more than {MOST_RATIO} times its "
                "size, which structures do not; decompress it yourself if you trust it"
            )
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def damaged(where: str, error: BaseException) -> UserError:
    """Return the error for a file that raised one of `DAMAGE`."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return UserError(
            f"{where}: there is no space in the temporary directory {tempfile.gettempdir()} to "
            "unpack it; set TMPDIR to a directory with more"
        )
    reason = str(error) or type(error).__name__
    return UserError(
        f"{where}: the compressed file is cut off or damaged ({reason}); copy or download it again"
    )


def head_of(path: Path) -> bytes:
    """Return the first 512 bytes of a file, after decompression.

    Raises:
        UserError: if its beginning is damaged.
    """
    opener = _OPENERS.get(kind_of(path) or "", open)
    try:
        with opener(path, "rb") as stream:
            return stream.read(HEAD)
    except DAMAGE as error:
        raise damaged(str(path), error) from error
