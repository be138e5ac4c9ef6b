"""Writing HDF5 files so that a full disk is an error and not a crash."""

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py


class _ForgivingFile(io.FileIO):
    """A file whose failed writes are remembered instead of raised.

    HDF5 tries to write again when it closes a file after a failed write, and can crash the
    process. So failures are hidden from it, and raised after it has closed the file.

    Attributes:
        failure: what went wrong first, if anything.
    """

    failure: OSError | None = None

    def write(self, content: Any) -> int:
        with self._remember():
            if super().write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(content)

    def truncate(self, size: int | None = None) -> int:
        with self._remember():
            super().truncate(size)
        return size if size is not None else self.tell()

    def flush(self) -> None:
        with self._remember():
            super().flush()

    @contextmanager
    def _remember(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failure = self.failure or error


@contextmanager
def open_for_writing(path: Path) -> Iterator[h5py.File]:
    """Create an HDF5 file over an existing empty one.

    Args:
        path: the file; it must exist.

    Yields:
        The open HDF5 file.

    Raises:
        OSError: a write failed, on a full disk for example; raised when the block ends.
    """
    with _ForgivingFile(path, "r+") as raw:
        try:
            # Chunks of datasets that grow are found faster since HDF5 1.10.
            with h5py.File(raw, "w", libver=("v110", "v110")) as file:
                yield file
                # Buffers of the file are written here at the latest.
                file.flush()
        except Exception:
            if raw.failure:  # HDF5 read back what was not written
                raise raw.failure from None
            raise
        if raw.failure:
            raise raw.failure
