"""A frame as read from a file: geometry, labels and everything else, in the file's units."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms


class LeftOut(Exception):
    """Raised for a frame that is left out intentionally; the message gives the reason.

    Example:
        >>> raise LeftOut("energy_weight is zero")
        Traceback (most recent call last):
            ...
        irrepress.data.formats.frame.LeftOut: energy_weight is zero
    """


@dataclass(frozen=True)
class Frame:
    """A frame with all information from a file, in the file's units.

    Attributes:
        numbers: atomic numbers, ``[atoms]``.
        positions: Cartesian positions, ``[atoms, 3]``.
        cell: lattice vectors as rows, ``[3, 3]``.
        pbc: periodicity along each vector, ``[3]``.
        results: labels under ASE's names: energy, forces, stress.
        fields: everything else by key, per structure or per atom.
        where: file and frame, with which messages begin.
        notes: notes from reading it; see `notes`. Extended until the frame is converted to a
            structure.

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
        """Return a frame from ASE atoms.

        Args:
            atoms: atoms with labels in the calculator, ``info`` or ``arrays``.
            where: file and frame.
            fields: further values by key.
            notes: notes from reading it.
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
