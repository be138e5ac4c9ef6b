"""Frames of trajectory files, one after another in bounded memory."""

import bz2
import gzip
import io
import lzma
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import ase.io
from ase import Atoms

from irrepress.errors import UserError

_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_XYZ = (".xyz", ".extxyz")


def read_frames(path: Path) -> Iterator[Atoms]:
    """Yield the frames of any file that ASE reads, also compressed by gzip, bzip2 or xz.

    Raises:
        UserError: the file is missing, empty, cut off or unreadable.
    """
    check_readable(path)
    uncompressed = path.stem if path.suffix in _OPENERS else path.name
    is_xyz = uncompressed.endswith(_XYZ)
    index = 0
    try:
        for atoms in _read_xyz(path) if is_xyz else _read_other(path, uncompressed):
            yield atoms
            index += 1
    except (UserError, GeneratorExit):
        raise
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise UserError(
            f"{path}: frame {index}: the compressed file is cut off or damaged ({error}); "
            "copy or download it again"
        ) from error
    except Exception as error:  # ASE's readers raise errors of many types on bad input
        raise UserError(
            f"{path}: frame {index} cannot be read ({type(error).__name__}: {error}); "
            "mend or remove it, or write the file anew as extxyz"
        ) from error
    if not index:
        raise UserError(f"{path}: there are no structures in this file; remove it from paths")


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


def _open_text(path: Path) -> IO[str]:
    return _OPENERS.get(path.suffix, open)(path, "rt", encoding="utf-8")


def _read_xyz(path: Path) -> Iterator[Atoms]:
    """Read frame by frame, forward only.

    ASE's own reader goes back to the start of each frame, for which a compressed file is
    decompressed from its beginning every time.
    """
    with _open_text(path) as stream:
        index = 0
        line = stream.readline()
        while line.strip():
            if not line.strip().isdigit():
                raise UserError(
                    f"{path}: frame {index}: expected a number of atoms, found "
                    f"{line.strip()[:40]!r}; the frame before it may have too many or too few lines"
                )
            rows = [stream.readline() for _ in range(int(line) + 1)]
            if not rows[-1].strip():
                raise UserError(
                    f"{path}: frame {index}: the file ends within its {int(line)} atoms; it is cut "
                    "off, copy or download it again"
                )
            header, line = line, stream.readline()
            while line.lstrip().startswith("VEC"):  # an old way to give the cell
                rows.append(line)
                line = stream.readline()
            yield ase.io.read(io.StringIO(header + "".join(rows)), index=0, format="extxyz")
            index += 1


def _read_other(path: Path, name: str) -> Iterator[Atoms]:
    if path.suffix not in _OPENERS:
        yield from ase.io.iread(path, index=":")
        return
    # Most formats need a file to seek in. It keeps its name, which may tell the format.
    with tempfile.TemporaryDirectory(prefix="irrepress-") as directory:
        plain = Path(directory) / name
        with _OPENERS[path.suffix](path, "rb") as stream, plain.open("wb") as target:
            shutil.copyfileobj(stream, target)
        yield from ase.io.iread(plain, index=":")
