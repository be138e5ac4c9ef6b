"""Conversion of frames to structures with labels in eV and Å."""

import re
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np

from irrepress.core.errors import UserError
from irrepress.core.quantities import QUANTITIES
from irrepress.core.structure import Structure
from irrepress.data.config import LabelKeys, Units
from irrepress.data.formats.frame import Frame, LeftOut
from irrepress.data.formats.keys import Roles, is_gradient, is_per_atom, is_virial, roles_of
from irrepress.data.formats.label_finder import LabelFinder
from irrepress.data.formats.values import shaped, voigt
from irrepress.data.formats.weights import WEIGHTLESS, is_weightless, weigh_frame
from irrepress.data.units import VOIGT, Factors


class LabelReader:
    """Finds energy, forces, stress and group of frames and converts units.

    Labels that are taken from another key than requested, not taken although present, or have zero
    weight are noted in the frame.

    Example:
        >>> from ase.build import bulk
        >>> atoms = bulk("Si")
        >>> atoms.info["dft_energy"] = -0.4
        >>> reader = LabelReader(
        ...     LabelKeys(energy="dft_energy", forces=False, stress=False), Units(energy="Hartree")
        ... )
        >>> round(reader.structure(Frame.from_atoms(atoms, "si.xyz: frame 0")).energy, 3)
        -10.885
    """

    def __init__(
        self,
        keys: LabelKeys,
        units: Units,
        required: Collection[str] | None = None,
        group_pattern: str | None = None,
        unlabelled: bool = False,
        structures_only: bool = False,
    ):
        """Describe the source.

        Args:
            keys: keys of the labels; null: ASE's results, and ``group`` for the group.
            units: units of the source.
            required: labels that every frame must have (for an isolated atom, only the energy).
                None: any label suffices, and further keys that look like labels are noted.
            group_pattern: regular expression whose match at the beginning of the group's value is
                the group, for sources that name each frame separately.
            unlabelled: whether to accept frames without any label or key that may be one.
            structures_only: whether to drop all labels, and note which.
        """
        self._structures_only = structures_only
        self._keys = keys
        self._units = units
        self._factors = Factors(units)
        self._finder = LabelFinder(keys, units, required, unlabelled)
        self._group_pattern = re.compile(group_pattern) if group_pattern else None

    def structure(self, frame: Frame) -> Structure:
        """Return the structure of a frame, with labels in eV, eV/Å and eV/Å^3.

        Raises:
            UserError: if a label or the group is missing, or a label has the wrong shape or is not
                finite.
            LeftOut: if all labels of the frame have zero weight.
        """
        if self._structures_only:
            return self._unlabelled(frame)
        roles = roles_of(tuple(frame.fields))
        weigh_frame(frame, roles)
        cell = np.asarray(frame.cell, dtype=np.float64) * self._factors.length
        energy = self._label(frame, roles, "energy", (), cell)
        forces = self._label(frame, roles, "forces", (len(frame.numbers), 3), cell)
        stress = self._label(frame, roles, "stress", (6,), cell)
        if any(WEIGHTLESS in note for note in frame.notes) and all(
            np.isnan(value).any() for value in (energy, forces, stress)
        ):
            raise LeftOut("all its labels have the weight zero")
        structure = self._geometry(frame)
        return replace(structure, energy=float(energy), forces=forces, stress=stress)

    def _unlabelled(self, frame: Frame) -> Structure:
        """Return the structure of a frame without labels, and note those that it has."""
        if held := [name for name in QUANTITIES if self._finder.may_hold(frame, name)]:
            frame.notes.append(f"own labels not read, as labels says ({', '.join(held)})")
        return self._geometry(frame)

    def _geometry(self, frame: Frame) -> Structure:
        """Return the structure of a frame in Å, without labels."""
        count = len(frame.numbers)
        return Structure(
            numbers=np.asarray(frame.numbers, dtype=np.int64),
            positions=np.asarray(frame.positions, dtype=np.float64) * self._factors.length,
            cell=np.asarray(frame.cell, dtype=np.float64) * self._factors.length,
            pbc=np.asarray(frame.pbc, dtype=bool),
            energy=np.nan,
            forces=np.full((count, 3), np.nan),
            stress=np.full(6, np.nan),
            group=self._group(frame),
        )

    def _label(
        self, frame: Frame, roles: Roles, name: str, shape: tuple[int, ...], cell: np.ndarray
    ) -> np.ndarray:
        """Return a label in eV and Å, NaN if it is missing."""
        found = self._finder.find(frame, roles, name)
        if found is None or is_weightless(frame, roles, name, found[0]):
            return np.full(shape, np.nan)
        key, value = found
        if name == "stress":
            return self._stress(frame, key, value, cell)
        label = shaped(value, shape, name, frame.where)
        if name == "forces":
            self._check_sign(frame, key)
            return label * self._factors.forces
        if is_per_atom(key):
            frame.notes.append(f"energy under the key {key!r} taken times the number of atoms")
            label = label * len(frame.numbers)
        return label * self._factors.energy

    def _check_sign(self, frame: Frame, key: str) -> None:
        """Raise UserError for a gradient if the units do not define its sign."""
        if is_gradient(key) and "forces_sign" not in self._units.model_fields_set:
            raise UserError(
                f"{frame.where}: the key {key!r} of the forces is that of a gradient, which has "
                "the opposite sign; set units.forces_sign to gradient, or to forces"
            )

    def _stress(self, frame: Frame, key: str, value: Any, cell: np.ndarray) -> np.ndarray:
        virial = self._units.stress == "virial" or (
            is_virial(key) and "stress" not in self._units.model_fields_set
        )
        if virial and self._units.stress != "virial" and self._keys.stress is not None:
            frame.notes.append(
                f"stress taken from {key!r} as -virial/volume, as it is called; units.stress says "
                "what it is"
            )
        factor = self._factors.virial(cell) if virial else self._factors.stress
        if virial and not np.isfinite(factor):
            frame.notes.append("virial of a structure without a volume gives no stress")
            return np.full(6, np.nan)
        # ASE's results are in its own order.
        own_order = key not in frame.results
        order: tuple[str, ...] = VOIGT
        if np.size(value) == 6 and own_order:
            order = self._order(frame)
        return voigt(value, factor, order, frame.where)

    def _order(self, frame: Frame) -> tuple[str, ...]:
        """Return the order of six components; note it, or raise UserError if it is ambiguous."""
        if self._units.stress_order is not None:
            return tuple(self._units.stress_order.split())
        if self._units.stress_sign == "vasp":
            raise UserError(
                f"{frame.where}: the stress has six components, and VASP prints them in another "
                "order than ASE; set units.stress_order to 'xx yy zz xy yz xz' if it is VASP's, "
                f"or to '{' '.join(VOIGT)}'"
            )
        frame.notes.append(f"six components of stress taken in the order {' '.join(VOIGT)}")
        return VOIGT

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
                f"{self._group_pattern.pattern!r}; leave keys.group out, or correct the frame"
            )
        return match.group()
