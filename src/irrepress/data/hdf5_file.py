"""Writing of HDF5 files in which a full disk raises an error instead of a crash."""

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py


class _ForgivingFile(io.FileIO):
    """A file that remembers failed writes instead of raising them.

    HDF5 writes again when closing a file after a failed write, which can crash the process. So
    failures are hidden from it and raised after it has closed the file.

    Attributes:
        failure: the first error, if any.
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
        OSError: if a write failed, for example on a full disk; raised at the end of the ``with``
            block.
    """
    with _ForgivingFile(path, "r+") as raw:
        try:
            # Since HDF5 1.10, chunks of growing datasets are found faster.
            with h5py.File(raw, "w", libver=("v110", "v110")) as file:
                yield file
                # Writes the buffers of the file.
                file.flush()
        except Exception:
            if raw.failure:  # HDF5 failed on data that had not been written
                raise raw.failure from None
            raise
        if raw.failure:
            raise raw.failure
