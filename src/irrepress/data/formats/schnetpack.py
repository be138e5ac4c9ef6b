"""Databases of SchNetPack 2: SQLite databases of ASE with units in their metadata.

``_distance_unit`` is the unit of positions and cells, ``_property_unit_dict`` maps properties
(``energy``, ``forces``, ``energy_U0``, ...) to units such as ``kcal/mol/Ang``. Properties are
arrays in the data of a row.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import ase.units
import numpy as np

from irrepress.core.errors import UserError
from irrepress.data.formats.frame import Frame

DISTANCE, PROPERTIES = "_distance_unit", "_property_unit_dict"
# Names of units in lower case.
_NAMES = {
    **{
        "ang": 1.0,
        "angstrom": 1.0,
        "å": 1.0,
        "a": 1.0,
        "a0": ase.units.Bohr,
        "bohr": ase.units.Bohr,
    },
    **{"ev": 1.0, "mev": 1e-3, "ha": ase.units.Hartree, "hartree": ase.units.Hartree},
    **{"ry": ase.units.Rydberg, "rydberg": ase.units.Rydberg, "kcal": ase.units.kcal},
    **{"kj": ase.units.kJ, "mol": ase.units.mol, "nm": ase.units.nm, "gpa": ase.units.GPa},
    **{"kbar": 0.1 * ase.units.GPa, "bar": 1e-4 * ase.units.GPa, "1": 1.0},
}


class OwnUnits:
    """The units in the metadata of a database.

    Attributes:
        properties: name -> unit, from the database.

    Example:
        >>> metadata = {DISTANCE: "Bohr", PROPERTIES: {"energy": "kcal/mol"}}
        >>> print(OwnUnits(metadata, "qm9.db"))
        positions in Bohr, energy in kcal/mol
    """

    def __init__(self, metadata: Mapping[str, Any], where: str):
        """Read the units.

        Args:
            metadata: metadata of the database; see `tells_units`.
            where: path of the database.

        Raises:
            UserError: if a unit is unknown.
        """
        self.properties: dict[str, str] = dict(metadata.get(PROPERTIES) or {})
        self._distance = str(metadata.get(DISTANCE) or "Ang")
        self._length = _known_factor(self._distance, where, DISTANCE)
        self._factors = {name: _factor(unit) for name, unit in self.properties.items()}
        self._where = where

    def convert(self, frame: Frame, wanted: Mapping[str, str | None]) -> Frame:
        """Return a frame in eV and Å, with properties as results of a calculator.

        Args:
            frame: the frame from the database.
            wanted: label -> property to use; None: the property of the same name.

        Raises:
            UserError: if the unit of a label's property is unknown.
        """
        fields, results = dict(frame.fields), {}
        for name in self.properties.keys() & fields.keys():
            factor = self._factors[name]
            # Properties such as dipoles are not used and may have any unit.
            fields[name] = None if factor is None else np.asarray(fields[name], float) * factor
        for label, key in wanted.items():
            if (key or label) in self.properties:
                name = key or label
                _known_factor(self.properties[name], self._where, f"{PROPERTIES}.{name}")
            if key is None and fields.get(label) is not None:
                results[label] = fields[label]
        return replace(
            frame,
            positions=frame.positions * self._length,
            cell=frame.cell * self._length,
            results=results,
            fields=fields,
        )

    def __str__(self) -> str:
        named = (f"{name} in {unit}" for name, unit in self.properties.items())
        return ", ".join([f"positions in {self._distance}", *named])


def tells_units(metadata: Mapping[str, Any]) -> bool:
    """Return whether a database defines its units."""
    return bool(metadata.get(PROPERTIES)) or bool(metadata.get(DISTANCE))


def _known_factor(unit: str, where: str, key: str) -> float:
    """Return the factor of a unit, which must be known."""
    factor = _factor(unit)
    if factor is None:
        raise UserError(
            f"{where}: the unit {unit!r} of {key} in its metadata is not known; write it there as "
            "eV, kcal/mol, Hartree, Ang, Bohr or a quotient of them, such as kcal/mol/Ang"
        )
    return factor


def _factor(unit: str) -> float | None:
    """Return the factor of a unit such as ``kcal/mol/Ang`` to eV and Å; None if unknown."""
    text = re.sub(r"\s+", "", str(unit)) or "1"
    factor, sign = 1.0, 1
    for piece in re.split(r"([*/])", text):
        if piece in ("*", "/"):
            sign = 1 if piece == "*" else -1
            continue
        name, _, power = piece.replace("**", "^").partition("^")
        known = _NAMES.get(name.lower())
        if known is None or not (power or "1").isdecimal():
            return None
        factor *= known ** (sign * int(power or 1))
    return factor
