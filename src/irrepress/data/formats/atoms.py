"""ASE atoms in memory, read like a file."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ase import Atoms

from irrepress.core.errors import UserError
from irrepress.data.config import LabelKeys, Units
from irrepress.data.formats.ase_files import FrameAtoms
from irrepress.data.formats.base import CHUNK_FRAMES, Reader, Record, Remark
from irrepress.data.formats.frame import Frame

# Their name in messages and notes.
_NAME = "atoms"


class AtomsReader(Reader):
    """Reads a list of atoms; a chunk is a list of `FrameAtoms`.

    Example:
        >>> reader = AtomsReader([structure.to_atoms() for structure in structures])
        >>> [record.structure.energy for record in reader.records()]
        [-10.8, -10.8, -10.8, -10.8]
    """

    def __init__(
        self,
        frames: Sequence[Atoms],
        keys: LabelKeys | None = None,
        units: Units | None = None,
        options: Mapping[str, Any] | None = None,
    ):
        """Take the frames; see `Reader` for the other arguments.

        Args:
            frames: the atoms; results of their calculators are labels if these are up to date.
            keys: keys of the labels.
            units: units of the labels and positions.
            options: options of all readers.

        Raises:
            ValueError: if an option is unknown.
        """
        super().__init__((), keys, units, options)
        self._frames = frames

    def chunks(self) -> Iterator[list[FrameAtoms]]:
        """See `Reader.chunks`."""
        for begin in range(0, len(self._frames), CHUNK_FRAMES):
            members = self._frames[begin : begin + CHUNK_FRAMES]
            yield [FrameAtoms(_NAME, begin + i, atoms) for i, atoms in enumerate(members)]

    def parse(self, chunk: list[FrameAtoms]) -> Iterator[Record | Remark | UserError]:
        """See `Reader.parse`."""
        for name, index, atoms in chunk:
            notes = []
            calculator = atoms.calc
            if calculator is not None and calculator.results and calculator.check_state(atoms):
                notes.append("results of a calculator not read, as the atoms have changed since")
                atoms = atoms.copy()  # without its calculator
            yield self._record(Frame.from_atoms(atoms, f"{name}: frame {index}", notes=notes), name)
