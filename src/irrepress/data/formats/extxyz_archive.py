"""Archives (zip, tar, tar.gz, ...) of extended XYZ files, read without unpacking them.

- MPtrj of Matbench Discovery: a zip with one file per material (``mp-1.extxyz``). Energy, forces
  and stress are under ASE's keys, in eV, eV/Å and eV/Å^3 with ASE's sign; the info key
  ``material_id`` is the material. (Models on Matbench Discovery are not trained on
  ``mp2020_corrected_energy``.)
- WBM of Matbench Discovery: the same with ``wbm-1-1.extxyz``, one structure each, no labels in
  the initial structures.
- SPICE as MACE-OFF23 used it: tar.gz with one file; ``energy`` and ``forces`` in eV and eV/Å,
  ``smiles`` is the molecule. ``MACE_energy`` and ``MACE_forces`` are predictions.
"""

from collections.abc import Iterator
from pathlib import Path

from irrepress.core.errors import UserError
from irrepress.data.formats.archive_members import is_archive, members
from irrepress.data.formats.base import gather, nothing_in
from irrepress.data.formats.extxyz import ExtxyzReader, FrameText, frames_of
from irrepress.data.formats.file_kinds import check_readable, kind_of, wrong_kind

SUFFIXES = (".extxyz", ".xyz")


class ExtxyzArchiveReader(ExtxyzReader):
    """Reads extended XYZ files in archives; a chunk may span several files.

    Example:
        >>> import tempfile, zipfile
        >>> path = Path(tempfile.mkdtemp()) / "helium.zip"
        >>> with zipfile.ZipFile(path, "w") as archive:
        ...     archive.writestr("a.xyz", "1\\nenergy=-2.5\\nHe 0 0 0\\n")
        >>> [record.structure.energy for record in ExtxyzArchiveReader([path]).records()]
        [-2.5]
    """

    def _check(self, path: Path) -> None:
        check_readable(path)
        if not is_archive(path):
            raise wrong_kind(path, "a zip or tar archive", kind_of(path))

    def chunks(self) -> Iterator[list[FrameText]]:
        """See `Reader.chunks`."""
        return gather(self._members())

    def _members(self) -> Iterator[tuple[int, FrameText]]:
        for path in self.paths:
            others: list[str] = []
            found = False
            for name, stream in members(path):
                if not name.lower().endswith(SUFFIXES):
                    others.append(name) if len(others) < 3 else None
                    continue
                for size, frame in frames_of(stream, f"{path}: {name}", (str(path), name)):
                    yield size, frame
                    found = True
            if not found and others:
                raise UserError(
                    f"{path}: there are no {' or '.join(SUFFIXES)} files in this archive, only "
                    f"files such as {', '.join(others)}; set format accordingly"
                )
            if not found:
                raise nothing_in(path)
