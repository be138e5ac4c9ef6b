"""From a frame as a file holds it to a structure with labels in our units."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms

from irrepress.core.errors import UserError
from irrepress.core.quantities import QUANTITIES
from irrepress.core.structure import Structure
from irrepress.data.config import LabelKeys, Units
from irrepress.data.formats.keys import (
    Roles,
    is_gradient,
    is_per_atom,
    is_virial,
    roles_of,
    weights_of,
)
from irrepress.data.formats.values import same, shaped, voigt
from irrepress.data.units import VOIGT, Factors

_SAME_STRESS = 1e-4  # eV/Å^3

_WEIGHTLESS = " of weight zero"


class LeftOut(Exception):
    """A frame that is left out on purpose; its text says why."""


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


class Labels:
    """Finds energy, forces, stress and group of frames and converts them to our units.

    What is taken from another key than was asked for, not taken although it is there, or of
    weight zero is noted in the frame.
    """

    def __init__(
        self,
        keys: LabelKeys,
        units: Units,
        required: Collection[str] | None = None,
        group_pattern: str | None = None,
    ):
        """Say what a source holds.

        Args:
            keys: names of the labels; null means ASE's results, and the group under ``group``.
            units: units of the source.
            required: labels without which a frame is bad; of an isolated atom only energy. None
                means that any label will do, and that nobody knows what else is in the source:
                further keys that look like labels are told of.
            group_pattern: regular expression whose match at the beginning of a group's text is
                the group, for sources that name each frame but not what siblings share.
        """
        self._keys = keys
        self._units = units
        self._factors = Factors(units)
        self._required = None if required is None else frozenset(required)
        self._group_pattern = re.compile(group_pattern) if group_pattern else None

    def structure(self, frame: Frame) -> Structure:
        """Return the structure of a frame, labels in eV, eV/Å and eV/Å^3.

        Raises:
            UserError: a label or the group is absent, or a label has the wrong shape or is
                not finite.
            LeftOut: all that the frame has has the weight zero.
        """
        factors = self._factors
        roles = roles_of(tuple(frame.fields))
        self._weigh_whole(frame, roles)
        cell = np.asarray(frame.cell, dtype=np.float64) * factors.length
        energy = self._label(frame, roles, "energy", (), cell)
        forces = self._label(frame, roles, "forces", (len(frame.numbers), 3), cell)
        stress = self._label(frame, roles, "stress", (6,), cell)
        if any(_WEIGHTLESS in note for note in frame.notes) and all(
            np.isnan(value).any() for value in (energy, forces, stress)
        ):
            raise LeftOut("all its labels have the weight zero")
        return Structure(
            numbers=np.asarray(frame.numbers, dtype=np.int64),
            positions=np.asarray(frame.positions, dtype=np.float64) * factors.length,
            cell=cell,
            pbc=np.asarray(frame.pbc, dtype=bool),
            energy=float(energy),
            forces=forces,
            stress=stress,
            group=self._group(frame),
        )

    def _label(
        self, frame: Frame, roles: Roles, name: str, shape: tuple[int, ...], cell: np.ndarray
    ) -> np.ndarray:
        """Return a label in our units, NaN if it is absent."""
        found = self._found(frame, roles, name)
        if found is None or self._is_weightless(frame, roles, name, found[0]):
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
        """Refuse a gradient of which nobody said whether it is one."""
        if is_gradient(key) and "forces_sign" not in self._units.model_fields_set:
            raise UserError(
                f"{frame.where}: the key {key!r} of the forces is that of a gradient, which has "
                "the opposite sign; set units.forces_sign to gradient, or to forces"
            )

    def _weigh_whole(self, frame: Frame, roles: Roles) -> None:
        """Note a weight of the whole frame that is not used.

        Raises:
            LeftOut: it is zero.
        """
        for key, values in weights_of(frame.fields, roles.whole_weights):
            if not values.any():
                raise LeftOut(f"{key} is zero")
            if values.size not in (1, len(frame.numbers)):
                raise UserError(
                    f"{frame.where}: {key} has {values.size} values, neither one nor one an atom; "
                    "give energy, forces and stress weights of their own, such as energy_weight=0"
                )
            self._note_uneven(frame, key, values)
        for key, values in weights_of(frame.fields, roles.other_weights):
            if not values.any():
                frame.notes.append(f"{key} of zero not used, for it is no label's weight")

    def _is_weightless(self, frame: Frame, roles: Roles, name: str, label_key: str) -> bool:
        """Tell whether a label has the weight zero, and note it.

        A label of which some atoms have no weight counts as one that has none: what is not to
        count must not.
        """
        keys = roles.weights[name]
        if name == "stress":
            # Stress and virial have weights of their own, and one of them may be a placeholder.
            other = "stress" if "virial" in label_key.lower() else "virial"
            keys = tuple(k for k in keys if other not in k.lower() or other in label_key.lower())
        for key, values in weights_of(frame.fields, keys):
            if not values.all():
                some = " on some atoms" if values.any() else ""
                frame.notes.append(f"{name}{_WEIGHTLESS}{some} ({key}) taken as absent")
                return True
            self._note_uneven(frame, key, values)
        if name != "forces":
            return False
        for key, values in weights_of(frame.fields, roles.whole_weights):
            if not values.all():
                frame.notes.append(f"forces{_WEIGHTLESS} on some atoms ({key}) taken as absent")
                return True
        return False

    def _note_uneven(self, frame: Frame, key: str, values: np.ndarray) -> None:
        if np.any((values != 0) & (values != 1)):
            frame.notes.append(f"weights other than zero and one ({key}) not used")

    def _found(self, frame: Frame, roles: Roles, name: str) -> tuple[str, Any] | None:
        """Return key and value of a label as it stands in the file; None if it is absent."""
        key = getattr(self._keys, name)
        if key is False:
            return None
        if key is not None:
            for place in (frame.fields, frame.results):
                if place.get(key) is not None:
                    return key, place[key]
            return self._lacking(frame, name, key)
        if name == "stress" and self._units.stress == "virial" and roles.virial is not None:
            return roles.virial, frame.fields[roles.virial]
        for place in (frame.results, frame.fields):
            if place.get(name) is not None:
                if name == "stress" and self._only_virial_counts(frame, roles):
                    break
                self._tell_of_others(frame, roles, name, name, place[name])
                return name, place[name]
        if (key := self._alias(frame, roles, name)) is not None:
            self._tell_of_others(frame, roles, name, key, frame.fields[key])
            return key, frame.fields[key]
        return self._absent(frame, roles, name)

    def _only_virial_counts(self, frame: Frame, roles: Roles) -> bool:
        """Tell whether the stress has the weight zero and there is a virial that has another."""
        if roles.virial is None or frame.fields[roles.virial] is None:
            return False
        zero = {
            word: any(
                not values.all()
                for key, values in weights_of(frame.fields, roles.weights["stress"])
                if word in key.lower()
            )
            for word in ("stress", "virial")
        }
        return zero["stress"] and not zero["virial"]

    def _alias(self, frame: Frame, roles: Roles, name: str) -> str | None:
        """Return another key that means a label, and note that it is taken."""
        key = roles.alias.get(name)
        if key is not None and frame.fields[key] is not None:
            frame.notes.append(f"{name} taken from the key {key!r}")
            return key
        if name != "stress" or roles.virial is None or frame.fields[roles.virial] is None:
            return None
        frame.notes.append(
            f"stress taken from {roles.virial!r} as -virial/volume, the virial in units of energy"
        )
        return roles.virial

    def _lacking(self, frame: Frame, name: str, key: str) -> None:
        """Note that a frame lacks a label whose key was given; a source that must have it fails."""
        spared = frame.is_isolated_atom and name != "energy"
        if spared:
            return
        if name in (self._required or ()) or (frame.is_isolated_atom and name == "energy"):
            raise self._no_label(frame, name, key)
        if not any(self._may_hold(frame, other) for other in QUANTITIES if other != name):
            raise self._no_label(frame, name, key)
        frame.notes.append(f"{lack_of(name, key)}, but {_listing(frame)}")

    def _absent(self, frame: Frame, roles: Roles, name: str) -> None:
        """Fail where a label must not be absent, or is likely to stand under another key."""
        if frame.is_isolated_atom and name != "energy":
            return
        if name in (self._required or ()) or (frame.is_isolated_atom and name == "energy"):
            raise self._no_label(frame, name, name)
        if self._required is not None:
            return
        if name == "stress":
            others = roles.others[name]
            if not others:
                return
            frame.notes.append(
                f"stress under {' and '.join(map(repr, others))} not read; set keys.stress to "
                "take it"
            )
            return
        size = 1 if name == "energy" else 3 * len(frame.numbers)
        if any(np.size(frame.fields[key]) == size for key in roles.possible[name]) or not any(
            self._may_hold(frame, other) for other in QUANTITIES if other != name
        ):
            raise self._no_label(frame, name, name)
        free = _free_energy(frame, roles) if name == "energy" else None
        frame.notes.append(
            f"no {name}" + (f"; set keys.energy: {free[0]} to take that" if free else "")
        )

    def _may_hold(self, frame: Frame, name: str) -> bool:
        """Tell whether a frame may have a label, to find those that have none at all."""
        key = getattr(self._keys, name)
        if key is False:
            return False
        if frame.results.get(key or name) is not None or frame.fields.get(key or name) is not None:
            return True
        roles = roles_of(tuple(frame.fields))
        return key is None and (
            name in roles.alias or (name == "stress" and roles.virial is not None)
        )

    def _no_label(self, frame: Frame, name: str, key: str) -> UserError:
        found = sorted({*frame.fields, *frame.results} - {"numbers", "positions"})
        return UserError(
            f"{frame.where}: {lack_of(name, key)}; set keys.{name} to the right one of "
            f"{', '.join(found) or 'none (there are no labels at all)'}"
        )

    def _tell_of_others(
        self, frame: Frame, roles: Roles, name: str, taken: str, value: Any
    ) -> None:
        """Note further labels of the kind that is taken, if nobody said which one is meant."""
        if self._required is not None:
            return
        atoms = len(frame.numbers)
        others = {key: frame.fields[key] for key in roles.others[name]}
        if (alias := roles.alias.get(name, taken)) != taken:
            others[alias] = frame.fields[alias]
        for key, other in others.items():
            if np.size(other) == np.size(value) and not same(value, other):
                self._tell_apart(frame, name, taken, key)
        if name == "stress" and roles.virial not in (None, taken):
            self._compare_virial(frame, taken, value, roles.virial)
        if name != "energy":
            return
        for key in roles.per_atom:
            if np.size(frame.fields[key]) == 1 and not same(value, frame.fields[key], atoms, atoms):
                self._tell_apart(frame, name, taken, f"{key} times the number of atoms")
        free = _free_energy(frame, roles)
        if free is not None and not same(value, free[1], atoms):
            frame.notes.append(
                f"energy taken from {taken!r}, though {free[0]!r}, which forces belong to where "
                f"there is smearing, differs; set keys.energy: {free[0]} to take that, or "
                f"keys.energy: {taken} if this is meant"
            )

    def _tell_apart(self, frame: Frame, name: str, taken: str, other: str) -> None:
        frame.notes.append(
            f"{name} taken from {taken!r}, though {other!r} differs from it; set keys.{name} to "
            "the one that is meant"
        )

    def _compare_virial(self, frame: Frame, taken: str, value: Any, virial: str) -> None:
        """Note a virial that is not -stress × volume."""
        cell = np.asarray(frame.cell, dtype=np.float64) * self._factors.length
        factors = (self._factors.stress, self._factors.virial(cell))
        if not np.isfinite(factors).all():
            return
        try:
            one, other = (
                voigt(label, factor, VOIGT, frame.where)
                for label, factor in zip((value, frame.fields[virial]), factors, strict=True)
            )
        except UserError:
            return  # what is wrong with the label that is taken is told where it is read
        if np.abs(one - other).max() > max(_SAME_STRESS, 1e-2 * np.abs(other).max()):
            self._tell_apart(frame, "stress", taken, virial)

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
        # What ASE holds as a result is in its order.
        own_order = key not in frame.results
        order = VOIGT
        if np.size(value) == 6 and own_order:
            order = self._order(frame)
        return voigt(value, factor, order, frame.where)

    def _order(self, frame: Frame) -> tuple[str, ...]:
        """Return the order of six components, noting it or refusing where it is a guess."""
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
                f"{self._group_pattern.pattern!r}; leave keys.group out, or mend the frame"
            )
        return match.group()


def _free_energy(frame: Frame, roles: Roles) -> tuple[str, Any] | None:
    """Return key and value of the energy that forces belong to where there is smearing."""
    if frame.results.get("free_energy") is not None:
        return "free_energy", frame.results["free_energy"]
    return next(
        ((key, frame.fields[key]) for key in roles.free if np.size(frame.fields[key]) == 1), None
    )


def lack_of(name: str, key: str) -> str:
    """Return how a note begins that says that a label is absent."""
    return f"no {name} under the key {key!r}"


def _listing(frame: Frame) -> str:
    found = sorted({*frame.fields, *frame.results} - {"numbers", "positions"})
    return ", ".join(found)
