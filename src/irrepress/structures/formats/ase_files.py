"""Whatever ASE reads that has no reader of its own: trajectories, VASP output, CIF, ...

ASE reads these forward in one process, so a chunk holds the atoms as read.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import ase.io
from ase import Atoms

from irrepress.errors import UserError
from irrepress.structures.formats.base import Reader, Record, gather, nothing_in
from irrepress.structures.formats.labels import Frame
from irrepress.structures.formats.sources import (
    is_compressed,
    kind_of,
    open_binary,
    temporary_file,
    wrong_kind,
)

_BYTES_PER_ATOM = 100  # number, position, forces and what comes with them


class FrameAtoms(NamedTuple):
    """One frame: path of the file, its place there, and what ASE read."""

    path: str
    index: int
    atoms: Atoms


class AseReader(Reader):
    """Reads any file that ASE reads; a chunk is a list of `FrameAtoms`."""

    def _check(self, path: Path) -> None:
        super()._check(path)
        if kind_of(path) in ("web page", "zip", "empty zip", "PDF"):
            raise wrong_kind(path, "a file that ASE reads", kind_of(path))

    def chunks(self) -> Iterator[list[FrameAtoms]]:
        """See `Reader.chunks`."""
        return gather(self._frames())

    def parse(self, chunk: list[FrameAtoms]) -> Iterator[Record | UserError]:
        """See `Reader.parse`."""
        for path, index, atoms in chunk:
            yield self._record(Frame.from_atoms(atoms, f"{path}: frame {index}"), path)

    def _frames(self) -> Iterator[tuple[int, FrameAtoms]]:
        for path in self.paths:
            index = 0
            try:
                for atoms in _read(path):
                    yield _BYTES_PER_ATOM * len(atoms), FrameAtoms(str(path), index, atoms)
                    index += 1
            except UserError:
                raise
            except Exception as error:  # ASE's readers raise errors of many types on bad input
                raise UserError(
                    f"{path}: frame {index} cannot be read ({type(error).__name__}: {error}); "
                    "mend or remove it, or write the file anew as extxyz"
                ) from error
            if not index:
                raise nothing_in(path)


def _read(path: Path) -> Iterator[Atoms]:
    if not is_compressed(path):
        yield from ase.io.iread(path, index=":")
        return
    # Most formats need a file to seek in. It keeps its name, which may tell the format.
    with open_binary(path) as stream, temporary_file(stream, path.stem, str(path)) as plain:
        yield from ase.io.iread(plain, index=":")
