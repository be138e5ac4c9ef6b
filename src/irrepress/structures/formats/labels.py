"""From a frame as a file holds it to a structure with labels in our units."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress

from irrepress.config import LabelKeys, Units
from irrepress.errors import UserError
from irrepress.structures.formats.units import Factors
from irrepress.structures.structure import Structure

ALWAYS = ("energy", "forces")


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
    """

    numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    results: Mapping[str, Any]
    fields: Mapping[str, Any]
    where: str

    @classmethod
    def from_atoms(cls, atoms: Atoms, where: str, fields: Mapping[str, Any] = {}) -> "Frame":
        """Take a frame from ASE atoms.

        Args:
            atoms: with labels in its calculator, ``info`` or ``arrays``.
            where: file and frame.
            fields: further values by key.
        """
        return cls(
            numbers=atoms.get_atomic_numbers(),
            positions=atoms.get_positions(),
            cell=np.array(atoms.cell),
            pbc=atoms.get_pbc(),
            results=atoms.calc.results if atoms.calc is not None else {},
            fields={**atoms.arrays, **fields, **atoms.info},
            where=where,
        )

    @property
    def is_isolated_atom(self) -> bool:
        """Whether it is a single atom marked as such: config_type=IsolatedAtom, isolated_atom."""
        kind = str(self.fields.get("config_type", "")).replace("_", "").lower()
        return len(self.numbers) == 1 and kind.startswith("isolatedatom")


class Labels:
    """Finds energy, forces, stress and group of frames and converts them to our units."""

    def __init__(
        self,
        keys: LabelKeys,
        units: Units,
        required: Collection[str] = ALWAYS,
        group_pattern: str | None = None,
    ):
        """Say what a source holds.

        Args:
            keys: names of the labels; null means ASE's results, and the group under ``group``.
            units: units of the source.
            required: labels without which a frame is bad; of an isolated atom only energy.
                A label whose key is given is required too.
            group_pattern: regular expression whose match at the beginning of a group's text is
                the group, for sources that name each frame but not what siblings share.
        """
        self._keys = keys
        self._factors = Factors(units)
        self._required = frozenset(required)
        self._group_pattern = re.compile(group_pattern) if group_pattern else None

    def structure(self, frame: Frame) -> Structure:
        """Return the structure of a frame, labels in eV, eV/Å and eV/Å^3.

        Raises:
            UserError: a label or the group is absent, or a label has the wrong shape or is
                not finite.
        """
        factors = self._factors
        cell = np.asarray(frame.cell, dtype=np.float64) * factors.length
        return Structure(
            numbers=np.asarray(frame.numbers, dtype=np.int64),
            positions=np.asarray(frame.positions, dtype=np.float64) * factors.length,
            cell=cell,
            pbc=np.asarray(frame.pbc, dtype=bool),
            energy=float(self._find(frame, "energy", ()) * factors.energy),
            forces=self._find(frame, "forces", (len(frame.numbers), 3)) * factors.forces,
            stress=self._stress(frame, cell),
            group=self._group(frame),
        )

    def _find(self, frame: Frame, name: str, shape: tuple[int, ...]) -> np.ndarray:
        value = self._value(frame, name)
        return np.full(shape, np.nan) if value is None else _shaped(value, shape, name, frame.where)

    def _stress(self, frame: Frame, cell: np.ndarray) -> np.ndarray:
        value = self._value(frame, "stress")
        if value is None:
            return np.full(6, np.nan)
        return _voigt(value, self._factors.stress(cell), frame.where)

    def _value(self, frame: Frame, name: str) -> Any:
        """Return a label as it stands in the file; None if it is absent and may be."""
        key = getattr(self._keys, name)
        places = (frame.results,) if key is None else (frame.fields, frame.results)
        for place in places:
            if place.get(key or name) is not None:
                return place[key or name]
        spared = frame.is_isolated_atom and name != "energy"
        if spared or (key is None and name not in self._required):
            return None
        found = sorted({*frame.fields, *frame.results} - {"numbers", "positions"})
        raise UserError(
            f"{frame.where}: no {name} under the key {key or name!r}; set keys.{name} to the right "
            f"one of {', '.join(found) or 'none (there are no labels at all)'}"
        )

    def _group(self, frame: Frame) -> str:
        key = self._keys.group
        value = frame.fields.get(key or "group")
        if value is None:
            if key is None or frame.is_isolated_atom:
                return ""
            raise UserError(
                f"{frame.where}: no group under the key {key!r}; set keys.group to the right one "
                f"of {', '.join(sorted(frame.fields)) or 'none'}, or leave it out"
            )
        if self._group_pattern is None:
            return str(value)
        match = self._group_pattern.match(str(value))
        if match is None:
            raise UserError(
                f"{frame.where}: the group {value!r} is not of the form "
                f"{self._group_pattern.pattern!r}; leave keys.group out, or mend the frame"
            )
        return match.group()


def _shaped(value: Any, shape: tuple[int, ...], name: str, where: str) -> np.ndarray:
    """Return a label as float64 of the given shape; a missing number must not pass as NaN."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError(f"{where}: {name} is {value!r}, not numbers; mend the file") from None
    if array.shape != shape and array.size != int(np.prod(shape)):
        raise UserError(
            f"{where}: {name} has the shape {list(array.shape)}, expected {list(shape)}; check "
            f"keys.{name}"
        )
    if not np.all(np.isfinite(array)):
        raise UserError(
            f"{where}: {name} holds {array[~np.isfinite(array)].flat[0]}; mend or remove the frame"
        )
    return array.reshape(shape)


def _voigt(value: Any, factor: float, where: str) -> np.ndarray:
    """Return stress times factor in Voigt order, from 6 components or a symmetric matrix."""
    if np.size(value) == 6:
        return _shaped(value, (6,), "stress", where) * factor
    matrix = _shaped(value, (3, 3), "stress", where)
    converted = matrix * factor
    # Published stresses are rounded: what is small beside 0.01 eV/Å^3 is no asymmetry.
    asymmetry = np.abs(converted - converted.T).max()
    if asymmetry > 1e-3 * max(np.abs(converted).max(), 1e-2):
        raise UserError(
            f"{where}: the stress {matrix.tolist()} is not symmetric; check keys.stress"
        )
    return full_3x3_to_voigt_6_stress(converted)
