"""Temporary files for libraries that can only read files."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from irrepress.core.files import owner_mark, remove_leftovers
from irrepress.data.formats.compression import DAMAGE, damaged


@contextmanager
def temporary_file(stream: IO[bytes], name: str, where: str) -> Iterator[Path]:
    """Copy a stream to a temporary file with a given name.

    Args:
        stream: the stream, which is read to its end.
        name: name of the file, in a new directory.
        where: name of the stream in messages.

    Raises:
        UserError: if the stream is damaged or the disk is full.
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
    """Yield a directory that is removed afterwards or, after a kill, by the next call."""
    remove_leftovers(Path(tempfile.gettempdir()), "irrepress-")
    with tempfile.TemporaryDirectory(prefix=f"irrepress-{owner_mark()}") as directory:
        yield Path(directory)
