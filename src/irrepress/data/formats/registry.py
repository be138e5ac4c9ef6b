"""Readers by name, and detection of formats."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ase.io.formats import ioformats

from irrepress.core.errors import UserError, nearest
from irrepress.data.config import ALIASES, LabelKeys, Units
from irrepress.data.formats.archive_members import is_archive, members
from irrepress.data.formats.ase_db import SUFFIX, AseDatabaseReader
from irrepress.data.formats.ase_files import AseReader
from irrepress.data.formats.base import Reader
from irrepress.data.formats.compression import head_of, is_compressed
from irrepress.data.formats.deepmd import DeepmdReader
from irrepress.data.formats.extxyz import ExtxyzReader
from irrepress.data.formats.extxyz_archive import SUFFIXES, ExtxyzArchiveReader
from irrepress.data.formats.file_kinds import check_readable, kind_of, kind_of_bytes
from irrepress.data.formats.mace_hdf5 import SUFFIXES as HDF5_SUFFIXES
from irrepress.data.formats.mace_hdf5 import MaceHdf5Reader
from irrepress.data.formats.mptrj_json import MptrjJsonReader
from irrepress.data.formats.rmd17 import Rmd17Reader
from irrepress.data.formats.texts import in_utf8

READERS: dict[str, type[Reader]] = {
    "extxyz": ExtxyzReader,
    "extxyz-archive": ExtxyzArchiveReader,
    "ase": AseReader,
    "ase-db": AseDatabaseReader,
    "mace-hdf5": MaceHdf5Reader,
    "mptrj-json": MptrjJsonReader,
    "rmd17": Rmd17Reader,
    "deepmd": DeepmdReader,
}
# JSON of CHGNet and similar files: a material's id, or structures of pymatgen, by name or in lists.
# JSON of ASE has no structure.
_CHGNET = re.compile(rb'\s*[\[{]\s*("(mp-|mvc-)|.*?"structures?"\s*:)', re.S)
# The count of atoms, and a comment line that only extended XYZ has.
_EXTXYZ = re.compile(rb"\s*\d+[ \t]*\r?\n.*\b(Properties|Lattice)\s*=", re.IGNORECASE)
# The first line of VASP's main output.
_OUTCAR = re.compile(rb"\s*vasp\.\d")
# Maximum number of archive members to examine.
_MEMBERS = 20


def make_reader(
    format: str,
    paths: Sequence[Path],
    keys: LabelKeys | None = None,
    units: Units | None = None,
    options: Mapping[str, Any] | None = None,
) -> Reader:
    """Return the reader of a format.

    Args:
        format: one of `READERS`, ASE's name of a format, or ``auto``: the result of `guess_format`
            for the first path.
        paths: paths of the source; see `base.Reader`.
        keys: keys of the labels.
        units: units of the source.
        options: options of the reader.

    Raises:
        UserError: if the format is unknown or does not match the files.
    """
    if format == "auto":
        format = guess_format(paths[0])
    format = ALIASES.get(format, format)
    if format not in READERS:
        if format not in ioformats:
            raise UserError(f"format: no reader {format!r}; {nearest(format, ['auto', *READERS])}")
        return AseReader(paths, keys, units, {**(options or {}), "format": format})
    reader = READERS[format]
    said = (units or Units()).model_dump(exclude_unset=True)
    wrong = [name for name, fixed in reader.UNITS.items() if said.get(name, fixed) != fixed]
    if wrong:
        raise UserError(
            f"{paths[0]}: units.{wrong[0]} says {said[wrong[0]]!r}, but {format} always holds "
            f"{reader.UNITS[wrong[0]]!r}; leave it out"
        )
    return reader(paths, keys, units, options)


def guess_format(path: Path) -> str:
    """Return the detected format of a file or directory.

    Raises:
        UserError: if it is missing or empty, or a directory or archive of other files.
    """
    path = Path(path)
    if path.is_dir():
        return _by_names(path, _directory(path))
    check_readable(path)
    kind = kind_of(path)
    if kind in ("SQLite", "LMDB"):
        return "ase-db"
    if kind == "HDF5":
        return "mace-hdf5"
    if is_archive(path):
        return _by_names(path, (name for name, _ in members(path)))
    name = (path.stem if is_compressed(path) else path.name).lower()
    head = head_of(path)
    if (inner := kind_of_bytes(head)) in ("SQLite", "LMDB", "HDF5"):
        raise UserError(
            f"{path}: compressed, but its content ({inner}) needs random access; decompress it "
            "first"
        )
    head = in_utf8(head)
    if name.removesuffix(".txt").endswith(SUFFIXES) or _EXTXYZ.match(head):
        return "extxyz"
    if _CHGNET.match(head):
        return "mptrj-json"
    return "vasp-out" if _OUTCAR.match(head) else "ase"


def _directory(path: Path) -> Iterable[str]:
    return (file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())


def _by_names(path: Path, names: Iterable[str]) -> str:
    seen = []
    for name in islice(names, _MEMBERS):
        seen.append(name)
        last = name.rsplit("/", 1)[-1]
        if last in ("type.raw", "type_map.raw", "coord.npy"):
            return "deepmd"
        if last.startswith("rmd17_") or "/npz_data/" in name:
            return "rmd17"
        if path.is_dir() and last.lower().endswith(HDF5_SUFFIXES):
            return "mace-hdf5"
        if not path.is_dir() and last.lower().endswith(SUFFIX):
            return "ase-db"
        if not path.is_dir() and last.lower().endswith(SUFFIXES):
            return "extxyz-archive"
    what = "directory" if path.is_dir() else "archive"
    raise UserError(
        f"{path}: no reader for this {what}, which holds {', '.join(seen[:3]) or 'nothing'}; "
        f"{'name the files in it' if path.is_dir() else 'unpack it, or set format'}"
    )
