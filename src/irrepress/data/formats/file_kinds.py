"""Kinds of files, recognised by their first bytes, and errors for files of the wrong kind."""

from pathlib import Path

from irrepress.core.errors import UserError

# Offset of each kind's magic bytes, the bytes, and the name of the kind in messages. HTML is
# recognised separately, because it may begin with white space.
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
HEAD = 512  # bytes needed to recognise a file
_ANSWERS = {
    "web page": "the server sent a web page instead of the file, download it again",
    "SQLite": "set format: ase-db",
    "LMDB": "set format: ase-db",
    "HDF5": "set format: mace-hdf5, if MACE wrote it",
    "zip": "set format: extxyz-archive, if it holds extxyz files",
    "tar": "set format: extxyz-archive, if it holds extxyz files",
    "trajectory": "set format: ase",
}


def check_readable(path: Path) -> None:
    """Check that a file exists and can be read.

    Raises:
        UserError: if it is missing, a directory, empty, or not readable.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a directory; give the files in it")
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
    """Return the kind of a file by its first bytes: gzip, zip, tar, HDF5, ...; or None."""
    with path.open("rb") as stream:
        return kind_of_bytes(stream.read(HEAD))


def kind_of_bytes(head: bytes) -> str | None:
    """Return the kind of a file by its first 512 bytes, as `kind_of` does."""
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "web page"
    for kind, (offset, mark, _) in _MARKS.items():
        if head[offset : offset + len(mark)] == mark:
            return kind
    return None


def wrong_kind(path: Path | str, expected: str, kind: str | None) -> UserError:
    """Return the error for a file of the wrong kind.

    Args:
        path: file, or file and member.
        expected: what it should be, such as ``an archive``.
        kind: result of `kind_of`.
    """
    found = f"this is {_MARKS[kind][2]}" if kind else "it does not look like that"
    answer = _ANSWERS.get(kind or "", "set format to the right one, or download it again")
    return UserError(f"{path}: expected {expected}, but {found}; {answer}")
