"""Files that are no checkpoint of any family, told by their first bytes without unpickling them.

Imports no torch: a study is checked where there is none.
"""

import zipfile
from pathlib import Path

from irrepress.core.errors import UserError

_LFS = b"version https://git-lfs"
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_AGAIN = "copy or download it again"


def check_kind(path: Path) -> None:
    """Refuse a file or a directory that no family reads.

    Raises:
        UserError: it is of another kind; the message names the kind and the mend.
    """
    if (kind := foreign_kind(path)) is not None:
        raise UserError(f"{path}: no checkpoint: {kind}")


def foreign_kind(path: Path) -> str | None:
    """Say what a file is that no family reads, and the mend; None if it may be a checkpoint."""
    if path.is_dir():
        return "it is a directory; give the file of a model in it"
    try:
        with path.open("rb") as file:
            first = file.read(512)
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    if not first:
        return f"it is empty; {_AGAIN}"
    if first.startswith(_LFS):
        return "it is a pointer of Git LFS and not the file itself; fetch that by git lfs pull"
    if first.startswith(b"PK"):
        return _kind_of_zip(path)
    if first.startswith(b"\x89HDF\r\n"):
        return "it is an HDF5 file, as structures are stored in; give the file of a model"
    for magic, name in _COMPRESSED.items():
        if first.startswith(magic):
            return f"it is compressed ({name}); unpack it first"
    if first[8:10] == b'{"' and first[4:8] == bytes(4):
        return (
            "it is a safetensors file, which holds weights but no architecture; give the family's "
            "own file"
        )
    text = first.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<?xml", b"<head")):
        return "it is a web page; download the file itself (of GitHub's pages, the raw file)"
    return _kind_of_text(first)


def _kind_of_zip(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            damaged = archive.testzip()  # PyTorch compares no checksums
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError):
        return f"it is a damaged or truncated archive; {_AGAIN}"
    if any(name.endswith("/constants.pkl") for name in names):
        return (
            "it is a TorchScript archive, as sevenn get_model (deployed_serial.pt) and "
            "mace_create_lammps_model write for LAMMPS; its architecture cannot be changed any "
            "more: give the .model file of MACE or the checkpoint of SevenNet (.pth) that it was "
            "made from"
        )
    if any("aotinductor" in name for name in names):
        return "it is a compiled model (.pt2); give the checkpoint that it was made from"
    if not any(name == "data.pkl" or name.endswith("/data.pkl") for name in names):
        return "it is an archive and no file of PyTorch; unpack it first"
    if damaged is not None:
        return f"it is a damaged archive ({damaged} does not have its checksum); {_AGAIN}"
    return None


def _kind_of_text(first: bytes) -> str | None:
    """Tell texts, of which pickles are none: those begin with a byte beyond ASCII or a zip's."""
    try:
        text = first.decode("ascii")
    except UnicodeDecodeError:
        return None
    if not all(character.isprintable() or character.isspace() for character in text):
        return None
    return f"it is a text that begins with {text.strip()[:40]!r}; give the file of a model"
