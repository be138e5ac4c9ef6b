"""Energies of isolated atoms, which are used as reference energies."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

from irrepress.core.errors import UserError
from irrepress.data.config import LabelKeys, Units
from irrepress.data.formats.base import Record, Remark
from irrepress.data.formats.registry import make_reader
from irrepress.data.notes import Notes

# Smaller differences for an isolated atom are due to the box, not the method.
_SAME_ATOM = 1e-3  # eV


class IsolatedAtoms:
    """Energies of isolated atoms, from a separate file or found among structures.

    Attributes:
        energies: atomic number -> energy in eV.

    Example:
        >>> atoms = IsolatedAtoms()
        >>> atoms.give({14: -0.8})
        >>> atoms.energies
        {14: -0.8}
    """

    def __init__(self) -> None:
        self.energies: dict[int, float] = {}
        self._given: frozenset[int] = frozenset()
        self._where: dict[int, str] = {}

    def give(self, energies: Mapping[int, float]) -> None:
        """Set energies that take precedence over isolated atoms among the structures.

        Args:
            energies: atomic number -> energy in eV.
        """
        self.energies.update(energies)
        self._given = frozenset(energies)

    def take(self, record: Record, notes: Notes) -> None:
        """Add an isolated atom found among the structures, and note what was done.

        Raises:
            UserError: if an earlier one of the same element has another energy.
        """
        number, energy = int(record.structure.numbers[0]), record.structure.energy
        if np.isnan(energy):
            notes.add("isolated atom left out, as it has no usable energy", record.where)
            return
        known = self.energies.get(number)
        if known is None:
            self.energies[number] = energy
            self._where[number] = record.where
            notes.add("isolated atom used only for its reference energy", record.where)
        elif number in self._given:
            notes.add(
                "isolated atom left out, as the file of isolated atoms takes precedence",
                record.where,
            )
        elif abs(energy - known) > _SAME_ATOM:
            raise UserError(
                f"{record.where}: the isolated atom {chemical_symbols[number]} has {energy:g} eV, "
                f"but {self._where[number]} has {known:g} eV; remove one, choose with select, or "
                "give a file under isolated_atoms"
            )
        else:
            notes.add("isolated atom left out, as an earlier one has the same energy", record.where)


def read_isolated_atoms(path: Path, keys: LabelKeys, units: Units) -> dict[int, float]:
    """Return atomic number -> energy in eV from a file of single atoms.

    Args:
        path: the file.
        keys: label keys of the dataset; only the energy's is used.
        units: units of the dataset.

    Raises:
        UserError: if a frame is invalid or has several atoms, or energies of one element differ.
    """
    only_energies = LabelKeys(energy=keys.energy)
    reader = make_reader("auto", [path], only_energies, units, {"labels": ["energy"]})
    energies: dict[int, float] = {}
    for record in reader.records():
        if isinstance(record, Remark):
            continue
        if isinstance(record, UserError):
            raise record
        if len(record.structure) != 1:
            raise UserError(
                f"{record.where}: {len(record.structure)} atoms in a file of isolated atoms; give "
                "a file with one atom per frame under isolated_atoms"
            )
        number, energy = int(record.structure.numbers[0]), record.structure.energy
        if abs(energies.setdefault(number, energy) - energy) > _SAME_ATOM:
            raise UserError(
                f"{record.where}: the isolated atom {chemical_symbols[number]} has {energy:g} eV, "
                f"but an earlier one of this file {energies[number]:g} eV; remove one"
            )
    return energies
