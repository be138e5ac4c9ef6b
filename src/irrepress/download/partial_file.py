"""Partial files of transfers, with checksums."""

import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from irrepress.core.errors import UserError
from irrepress.core.files import write_json

logger = logging.getLogger(__name__)

CHUNK = 1 << 18
_RESERVE = 1e9  # bytes


class Digests:
    """Several checksums of the same bytes, always including SHA-256.

    Example:
        >>> digests = Digests(["md5"])
        >>> digests.update(b"abc")
        >>> digests.results()["md5"]
        '900150983cd24fb0d6963f7d28e17f72'
    """

    def __init__(self, algorithms: Iterable[str] = ()):
        self._hashes = {
            name: hashlib.new(name, usedforsecurity=False) for name in {"sha256", *algorithms}
        }

    def update(self, data: bytes) -> None:
        """Add bytes."""
        for digest in self._hashes.values():
            digest.update(data)

    def results(self) -> dict[str, str]:
        """Return algorithm -> hexadecimal string."""
        return {name: digest.hexdigest() for name, digest in self._hashes.items()}


def digest_file(path: Path, algorithms: Iterable[str] = ()) -> dict[str, str]:
    """Return the checksums of a file, which is read once: algorithm -> hexadecimal string.

    Raises:
        UserError: if the file cannot be read.
    """
    digests = Digests(algorithms)
    try:
        with path.open("rb") as stream:
            while data := stream.read(CHUNK):
                digests.update(data)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    return digests.results()


class PartialFile:
    """The partial file ``NAME.partial``, beside the target.

    ``NAME.partial.json`` identifies the remote file by the validator that the server sent (an ETag
    or a date), so that different versions are not mixed, and by its total length. Both survive a
    killed process. While a process has the partial file open, others that need the same file wait.

    Attributes:
        size: number of bytes so far.
        total: total length, if the server sent it.
        validator: value for ``If-Range``, if the server sent one.

    Raises:
        UserError: if the directory or the file is not writable.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "data.zip"
        >>> with PartialFile(target) as partial:
        ...     partial.restart(validator='"etag"', total=3)
        ...     partial.append(b"abc")
        ...     partial.finish()
        >>> target.read_bytes()
        b'abc'
    """

    def __init__(self, target: Path, algorithms: Iterable[str] = ()):
        self.target = target
        self.path = target.with_name(f"{target.name}.partial")
        self._note = target.with_name(f"{target.name}.partial.json")
        self._algorithms = tuple(algorithms)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._stream = _open_locked(self.path)
            self.size = self._stream.seek(0, os.SEEK_END)
        except OSError as error:
            raise self._unwritable(error) from error
        self.validator, self.total = self._read_note()
        # Bytes of an earlier run are only hashed if they are used.
        self._digests = None if self.size else Digests(self._algorithms)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self.size and self.path.exists():
            self._note.unlink(missing_ok=True)
            self.path.unlink()
        self._stream.close()

    @property
    def complete(self) -> bool:
        """Whether all bytes have been received, if the total length is known."""
        return self.total is not None and self.size == self.total

    def restart(self, validator: str | None = None, total: int | None = None) -> None:
        """Start again with the validator and length that the server sends now."""
        try:
            self._stream.truncate(0)
            self._stream.seek(0)
        except OSError as error:
            raise self._unwritable(error) from error
        self.size, self.validator, self.total = 0, validator, total
        self._digests = Digests(self._algorithms)
        # The note is written before the bytes, which are useless without their validator.
        write_json(self._note, {"validator": validator, "total": total})

    def append(self, data: bytes) -> None:
        """Append bytes without buffering."""
        digests = self._known_digests()
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._stream.write(rest) :]
        except OSError as error:
            raise self._unwritable(error) from error
        digests.update(data)
        self.size += len(data)

    def check_room(self, total: int | None = None) -> None:
        """Check that the rest of the file fits on the disk.

        Args:
            total: total length, if the server did not send it.

        Raises:
            UserError: if it does not.
        """
        missing = (self.total or total or 0) - self.size
        free = shutil.disk_usage(self.path.parent).free
        if missing > free:
            raise UserError(
                f"{self.target}: {missing / 1e9:.2f} GB are still missing, but the disk has only "
                f"{free / 1e9:.2f} GB free; free some space, and a rerun resumes the download"
            )

    def check_reserve(self) -> None:
        """Check that a file of unknown length does not fill the disk.

        Raises:
            UserError: if the disk is nearly full.
        """
        free = shutil.disk_usage(self.path.parent).free
        if free < _RESERVE:
            raise UserError(
                f"{self.target}: {self.size / 1e9:.2f} GB have been received, the total size is "
                f"unknown, and the disk has only {free / 1e9:.2f} GB free; free some space, or "
                f"delete {self.path} and get the file from elsewhere"
            )

    def results(self) -> dict[str, str]:
        """Return the checksums of the bytes so far: algorithm -> hexadecimal string."""
        return self._known_digests().results()

    def finish(self) -> None:
        """Rename the file to its final name."""
        try:
            os.fsync(self._stream.fileno())
            # Bytes were lost, or there was another writer on a file system without locks.
            if self.path.stat().st_size != self.size:
                raise OSError(f"{self.path} has other content than was written")
            os.replace(self.path, self.target)
        except OSError as error:
            raise self._unwritable(error) from error
        self._note.unlink(missing_ok=True)

    def _known_digests(self) -> Digests:
        if self._digests is None:
            digests = Digests(self._algorithms)
            self._stream.seek(0)
            while data := self._stream.read(CHUNK):
                digests.update(data)
            self._digests = digests
        return self._digests

    def _read_note(self) -> tuple[str | None, int | None]:
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            return note["validator"], note["total"]
        except (OSError, ValueError, KeyError, TypeError):
            return None, None

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(
            f"{self.target}: cannot be written ({error.strerror or error}); check permissions and "
            "free space, or choose another downloads.directory; a rerun resumes the download"
        )


def _open_locked(path: Path) -> FileIO:
    """Open a file for unbuffered reading and writing, waiting for other processes."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        stream = os.fdopen(handle, "r+b", buffering=0)
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("%s: waiting for another process that is downloading it", path)
            fcntl.flock(stream, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks; `finish` checks the length
        try:
            # The other process may have renamed or removed the file in the meantime.
            if os.path.samestat(os.fstat(handle), path.stat()):
                return stream
        except FileNotFoundError:
            pass
        stream.close()
