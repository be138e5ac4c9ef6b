"""One frame as a file holds it: geometry, labels and everything else, in the file's own units."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms


class LeftOut(Exception):
    """A frame that is left out on purpose; its text says why.

    Example:
        >>> raise LeftOut("energy_weight is zero")
        Traceback (most recent call last):
            ...
        irrepress.data.formats.frame.LeftOut: energy_weight is zero
    """


@dataclass(frozen=True)
class Frame:
    """One frame with everything that a file says about it, in the file's own units.

    Attributes:
        numbers: atomic numbers, ``[atoms]``.
        positions: Cartesian positions, ``[atoms, 3]``.
        cell: lattice vectors as rows, ``[3, 3]``.
        pbc: periodicity along each vector, ``[3]``.
        results: labels under the names that ASE gives them: energy, forces, stress.
        fields: everything else by its key, for one structure or by atom.
        where: file and frame, to begin messages with.
        notes: what reading it noticed and did; see `structures.notes`. It grows until the frame
            is a structure.

    Example:
        >>> frame = Frame.from_atoms(structures[0].to_atoms(), "silicon.xyz: frame 0")
        >>> frame.results["energy"], frame.is_isolated_atom
        (-10.8, False)
    """

    numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    results: Mapping[str, Any]
    fields: Mapping[str, Any]
    where: str
    notes: list[str] = field(default_factory=list)

    @classmethod
    def from_atoms(
        cls,
        atoms: Atoms,
        where: str,
        fields: Mapping[str, Any] = {},
        notes: Sequence[str] = (),
    ) -> "Frame":
        """Take a frame from ASE atoms.

        Args:
            atoms: with labels in its calculator, ``info`` or ``arrays``.
            where: file and frame.
            fields: further values by key.
            notes: what reading it noticed and did.
        """
        return cls(
            numbers=atoms.get_atomic_numbers(),
            positions=atoms.get_positions(),
            cell=np.array(atoms.cell),
            pbc=atoms.get_pbc(),
            results=atoms.calc.results if atoms.calc is not None else {},
            fields={**atoms.arrays, **fields, **atoms.info},
            where=where,
            notes=list(notes),
        )

    @property
    def is_isolated_atom(self) -> bool:
        """Whether it is a single atom marked as such: config_type=IsolatedAtom, isolated_atom."""
        if len(self.numbers) != 1:
            return False
        kinds = [str(self.fields[key]) for key in self.fields if key.lower() == "config_type"]
        kind = re.sub(r"[_\s-]", "", "".join(kinds)).lower()
        return kind.startswith("isolatedatom") or kind == "isolated"
