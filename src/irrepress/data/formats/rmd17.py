"""Revised MD17 as published: a tar.bz2 with an npz file per molecule and five official splits.

- ``rmd17/npz_data/rmd17_<molecule>.npz``: ``nuclear_charges [atoms]``, ``coords [frames, atoms,
  3]`` in Å, ``energies [frames]`` in kcal/mol, ``forces [frames, atoms, 3]`` in kcal/mol/Å;
- ``rmd17/splits/index_train_01.csv`` ... ``index_test_05.csv``: one index per line, 1000 each; the
  other 98,000 frames are in neither split.
"""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, ClassVar, NamedTuple

import numpy as np

from irrepress.core.errors import UserError, nearest
from irrepress.data.formats.archive_members import is_archive, members
from irrepress.data.formats.base import Reader, Record, Remark, frames_per_chunk
from irrepress.data.formats.file_kinds import kind_of, wrong_kind
from irrepress.data.formats.frame import Frame
from irrepress.data.formats.temporary import temporary_file

MOLECULES = (
    "aspirin",
    "azobenzene",
    "benzene",
    "ethanol",
    "malonaldehyde",
    "naphthalene",
    "paracetamol",
    "salicylic",
    "toluene",
    "uracil",
)
FOLDS = range(1, 6)


class _Frames(NamedTuple):
    """Consecutive frames of one molecule, in kcal/mol and Å."""

    path: str
    npz: str
    start: int
    numbers: np.ndarray
    positions: np.ndarray
    energies: np.ndarray
    forces: np.ndarray
    parts: Sequence[str | None]


class Rmd17Reader(Reader):
    """Reads one molecule, in the order of its npz file; a chunk is `_Frames`.

    Options: ``molecule``, one of `MOLECULES`, and ``fold``, 1 to 5 (default 1).

    Example:
        >>> "aspirin" in MOLECULES, sorted(Rmd17Reader.OPTIONS)
        (True, ['fold', 'molecule'])
    """

    OPTIONS = frozenset({"molecule", "fold"})
    UNITS: ClassVar[dict[str, str]] = {"energy": "kcal/mol", "length": "Å"}

    def __init__(self, *args: Any, **kwargs: Any):
        """See `Reader`.

        Raises:
            UserError: as in `Reader`, and if rMD17 lacks the molecule or fold.
        """
        super().__init__(*args, **kwargs)
        name = str(self.options.get("molecule", ""))
        self.molecule = name.removesuffix("-acid")
        self.fold = int(self.options.get("fold", 1))
        if self.molecule not in MOLECULES:
            raise UserError(
                f"{self.paths[0]}: rMD17 has no molecule {name!r}; {nearest(name, MOLECULES)}"
            )
        if self.fold not in FOLDS:
            raise UserError(f"{self.paths[0]}: rMD17 has no fold {self.fold}; use 1 to 5")

    def _check(self, path: Path) -> None:
        super()._check(path)
        if not is_archive(path):
            raise wrong_kind(path, "the archive of rMD17", kind_of(path))

    def chunks(self) -> Iterator[_Frames]:
        """See `Reader.chunks`."""
        for path in self.paths:
            yield from self._chunks(path)

    def parse(self, chunk: _Frames) -> Iterator[Record | Remark | UserError]:
        """See `Reader.parse`."""
        for offset, part in enumerate(chunk.parts):
            frame = Frame(
                numbers=chunk.numbers,
                positions=chunk.positions[offset],
                cell=np.zeros((3, 3)),
                pbc=np.zeros(3, dtype=bool),
                results={"energy": chunk.energies[offset], "forces": chunk.forces[offset]},
                fields={},
                where=f"{chunk.path}: {chunk.npz}: frame {chunk.start + offset}",
            )
            yield self._record(frame, chunk.path, part=part)

    def _chunks(self, path: Path) -> Iterator[_Frames]:
        npz = f"rmd17_{self.molecule}.npz"
        indices = {f"index_{part}_{self.fold:02d}.csv": part for part in ("train", "test")}
        parts: dict[int, str] = {}
        with ExitStack() as stack:
            wanted: dict[str, Path | None] = dict.fromkeys([npz, *indices])
            # The order within the archive is unknown; reading stops once all files are found.
            for member, stream in members(path):
                name = member.rsplit("/", 1)[-1]
                if wanted.get(name, member) is not None:
                    continue
                wanted[name] = stack.enter_context(temporary_file(stream, name, f"{path}: {name}"))
                if all(wanted.values()):
                    break
            files = {name: file for name, file in wanted.items() if file is not None}
            missing = [name for name in wanted if name not in files]
            if missing:
                raise UserError(
                    f"{path}: {', '.join(missing)} is not in this archive; it is not that of rMD17 "
                    "or is truncated: download it again"
                )
            for name, part in indices.items():
                for index in _indices(files[name], f"{path}: {name}"):
                    # Train comes first: a frame in both splits must not be used for tests.
                    parts.setdefault(index, part)
            yield from _frames(files[npz], str(path), npz, parts)


def _indices(path: Path, where: str) -> list[int]:
    try:
        return [int(line) for line in path.read_text().split()]
    except ValueError as error:
        raise UserError(
            f"{where}: not a list of indices ({error}); download the archive again"
        ) from error


def _frames(file: Path, path: str, npz: str, parts: dict[int, str]) -> Iterator[_Frames]:
    """Yield the frames of an npz file, one chunk in memory at a time."""
    try:
        with zipfile.ZipFile(file) as archive, ExitStack() as stack:
            numbers = np.load(stack.enter_context(archive.open("nuclear_charges.npy")))
            names = ("coords", "energies", "forces")
            arrays = {
                name: _Array(stack.enter_context(archive.open(f"{name}.npy"))) for name in names
            }
            count, atoms = arrays["coords"].length, len(numbers)
            wrong = [name for name in names if arrays[name].length != count]
            beyond = [index for index in parts if not 0 <= index < count]
            if wrong or beyond:
                what = f"{wrong[0]} has not {count} rows" if wrong else f"no frame {beyond[0]}"
                raise UserError(f"{path}: {npz}: {what}; download the archive again")
            step = frames_per_chunk(atoms * 48)
            for start in range(0, count, step):
                rows = min(step, count - start)
                yield _Frames(
                    path=path,
                    npz=npz,
                    start=start,
                    numbers=numbers.astype(np.int64),
                    positions=arrays["coords"].read(rows).reshape(rows, atoms, 3),
                    energies=arrays["energies"].read(rows).reshape(rows),
                    forces=arrays["forces"].read(rows).reshape(rows, atoms, 3),
                    parts=[parts.get(index) for index in range(start, start + rows)],
                )
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError) as error:
        raise UserError(
            f"{path}: {npz}: not a file of rMD17, or damaged ({error}); download the archive again"
        ) from error


class _Array:
    """An npy file in a zip archive, read row by row, which np.load cannot do."""

    def __init__(self, stream: IO[bytes]):
        self._stream = stream
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read = np.lib.format.read_array_header_2_0
        shape, fortran, self._dtype = read(stream)
        if fortran or self._dtype.hasobject or not shape:
            raise ValueError(f"an array of shape {shape} and type {self._dtype} in Fortran order")
        self.length = shape[0]
        self._row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * self._dtype.itemsize

    def read(self, rows: int) -> np.ndarray:
        data = self._stream.read(rows * self._row_bytes)
        if len(data) < rows * self._row_bytes:
            raise EOFError("it ends early")
        return np.frombuffer(data, dtype=self._dtype)
