"""Formats read by ASE without a separate reader here: trajectories, VASP output, CIF, ...

ASE reads these sequentially in one process, so a chunk contains the atoms as read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import ase.io
from ase import Atoms
from ase.io.formats import UnknownFileTypeError, filetype, get_ioformat

from irrepress.core.errors import UserError
from irrepress.data.config import Units
from irrepress.data.formats.base import Reader, Record, Remark, gather, nothing_in
from irrepress.data.formats.cif import notes_on, remarks_on_cif
from irrepress.data.formats.compression import DAMAGE, damaged, head_of, is_compressed, open_binary
from irrepress.data.formats.file_kinds import kind_of, wrong_kind
from irrepress.data.formats.frame import Frame
from irrepress.data.formats.temporary import temporary_file
from irrepress.data.formats.texts import encoding_of, text_in_utf8
from irrepress.data.formats.vasp import remarks_on_outcar, remarks_on_vasprun

_BYTES_PER_ATOM = 100  # number, position, forces and what comes with them
# Formats of ASE that store numbers unchanged; it converts units of all other formats.
_CONTAINERS = {"bundletrajectory", "db", "extxyz", "json", "netcdftrajectory", "traj", "xyz"}
_REMARKS = {
    "vasp-out": remarks_on_outcar,
    "vasp-xml": remarks_on_vasprun,
}


class FrameAtoms(NamedTuple):
    """A frame: path of the file, index in the file, and atoms read by ASE.

    Example:
        >>> frame = FrameAtoms("silicon.traj", 0, structures[0].to_atoms())
        >>> frame.place, len(frame.atoms)
        (0, 2)
    """

    path: str
    place: int
    atoms: Atoms


class AseReader(Reader):
    """Reads any file that ASE reads; a chunk is a list of `FrameAtoms`.

    Options: ``format``, ASE's name of the format, if it cannot be detected.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "silicon.traj"
        >>> ase.io.write(path, [structure.to_atoms() for structure in structures])
        >>> [record.structure.energy for record in AseReader([path]).records()]
        [-10.8, -10.8, -10.8, -10.8]
    """

    OPTIONS = frozenset({"format"})

    def _check(self, path: Path) -> None:
        super()._check(path)
        if kind_of(path) in ("web page", "zip", "empty zip", "PDF"):
            raise wrong_kind(path, "a file that ASE reads", kind_of(path))

    def chunks(self) -> Iterator[list[FrameAtoms]]:
        """See `Reader.chunks`."""
        return gather(self._frames())

    def parse(self, chunk: list[FrameAtoms]) -> Iterator[Record | Remark | UserError]:
        """See `Reader.parse`."""
        for path, index, atoms in chunk:
            where, notes = f"{path}: frame {index}", notes_on(atoms)
            yield self._record(Frame.from_atoms(atoms, where, notes=notes), path)

    def _frames(self) -> Iterator[tuple[int, FrameAtoms]]:
        for path in self.paths:
            index, symbols = 0, list[list[str]]()
            with _plain(path) as file:
                format = self._format(path, file)
                try:
                    for atoms in ase.io.iread(file, index=":", format=format):
                        yield _BYTES_PER_ATOM * len(atoms), FrameAtoms(str(path), index, atoms)
                        index += 1
                        if format == "cif":
                            symbols.append(atoms.get_chemical_symbols())
                except Exception as error:  # ASE's readers raise errors of many types on bad input
                    raise UserError(
                        f"{path}: frame {index} cannot be read as ASE's format {format} "
                        f"({type(error).__name__}: {error}); correct or remove it, set format to "
                        "the right one, or write the file again as extxyz"
                    ) from error
                if not index:
                    raise _nothing_in(path, format, "format" in self.options)
                texts = _REMARKS[format](file, index) if format in _REMARKS else []
                texts += remarks_on_cif(file, symbols) if format == "cif" else []
                self.remarks += [Remark(text, str(path)) for text in texts]

    def _format(self, path: Path, file: Path) -> str:
        """Return ASE's name of the format of a file, given or detected."""
        try:
            format = self.options.get("format") or filetype(str(file))
            get_ioformat(format)  # filetype returns unknown suffixes unchanged
        except (UnknownFileTypeError, OSError, ValueError) as error:
            raise UserError(
                f"{path}: ASE does not recognise this file by name or content; set format (see "
                "'ase info --formats'), or write it again as extxyz"
            ) from error
        if format not in _CONTAINERS and self.units != Units():
            given = self.units.model_dump(exclude_defaults=True)
            raise UserError(
                f"{path}: units says {', '.join(f'{k}: {v}' for k, v in given.items())}, but ASE "
                f"converts numbers of the format {format} to eV, Å and eV/Å^3 with its own sign; "
                "remove units"
            )
        return str(format)


@contextmanager
def _plain(path: Path) -> Iterator[Path]:
    """Yield a file that ASE can seek in: itself, or decompressed and without a byte-order mark."""
    if not is_compressed(path) and encoding_of(head_of(path)) is None:
        yield path
        return
    # It keeps its name, which may indicate the format.
    name = path.stem if is_compressed(path) else path.name
    with open_binary(path) as stream:
        try:
            text = text_in_utf8(stream)
        except DAMAGE as error:
            raise damaged(str(path), error) from error
        with temporary_file(text, name, str(path)) as file:
            yield file


def _nothing_in(path: Path, format: str, given: bool) -> UserError:
    if given:
        return UserError(f"{path}: there are no structures of the format {format} in this file")
    return UserError(
        f"{nothing_in(path)}, or set format: ASE recognises it as {format} by name or content (see "
        "'ase info --formats' for others)"
    )
