"""The files in zip and tar archives, read in order without unpacking them to disk."""

import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from irrepress.core.errors import UserError
from irrepress.data.formats.compression import (
    DAMAGE,
    LEAST_BOUND,
    MOST_RATIO,
    damaged,
    head_of,
    open_binary,
)
from irrepress.data.formats.file_kinds import HEAD, kind_of, kind_of_bytes, wrong_kind


def is_archive(path: Path) -> bool:
    """Return whether a file is a zip or a (compressed) tar archive.

    Raises:
        UserError: if its beginning is damaged.
    """
    return kind_of(path) in ("zip", "empty zip") or kind_of_bytes(head_of(path)) == "tar"


def members(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    """Yield name and content of the files in a zip or tar archive, in order.

    Nothing is unpacked to disk, and a tar archive is read once. A stream must be read before
    requesting the next one. Hidden files are skipped.

    Raises:
        UserError: if it is not an archive, or is truncated or damaged.
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
            if info.file_size > max(LEAST_BOUND, MOST_RATIO * info.compress_size):
                raise UserError(
                    f"{path}: {info.filename} expands to more than {MOST_RATIO} times its size, "
                    "which structures do not; unpack it yourself if you trust it"
                )
            with archive.open(info) as stream:
                yield info.filename, io.BufferedReader(cast(io.RawIOBase, stream), 1 << 16)


def _tar(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    with open_binary(path) as source:
        with tarfile.open(fileobj=source, mode="r|") as archive:
            while (member := archive.next()) is not None:
                # tarfile would keep every member in memory, and some archives have a million.
                archive.members.clear()  # type: ignore[attr-defined]  # absent from typeshed
                stream = archive.extractfile(member) if member.isfile() else None
                if stream is not None:
                    yield member.name, cast(BinaryIO, stream)
        # tarfile mistakes a truncated header for the end; the decompressor then raises.
        while source.read(1 << 20):
            pass
    if kind_of(path) == "tar" and not _ends_as_tar(path):
        raise tarfile.ReadError("the end is missing")


def _ends_as_tar(path: Path) -> bool:
    """Return whether a plain tar archive ends with a block of zeros."""
    with path.open("rb") as stream:
        stream.seek(-HEAD, io.SEEK_END)
        return not any(stream.read())
