"""Location of labels: under the user's key, ASE's name, or another one with the same meaning."""

from collections.abc import Collection
from typing import Any

import numpy as np

from irrepress.core.errors import UserError
from irrepress.core.quantities import QUANTITIES
from irrepress.data.config import LabelKeys, Units
from irrepress.data.formats.competing_labels import free_energy, note_competing
from irrepress.data.formats.frame import Frame
from irrepress.data.formats.keys import Roles, roles_of
from irrepress.data.formats.weights import only_virial_counts
from irrepress.data.units import Factors


class LabelFinder:
    """Finds energy, forces and stress in a frame.

    Labels that are taken from another key than requested, or not taken although present, are noted
    in the frame.

    Example:
        >>> frame = Frame.from_atoms(structures[0].to_atoms(), "silicon.xyz: frame 0")
        >>> finder = LabelFinder(LabelKeys(), Units())
        >>> finder.find(frame, roles_of(tuple(frame.fields)), "energy")
        ('energy', -10.8)
    """

    def __init__(
        self,
        keys: LabelKeys,
        units: Units,
        required: Collection[str] | None = None,
        unlabelled: bool = False,
    ):
        """Describe the source; see `LabelReader`."""
        self._keys = keys
        self._unlabelled = unlabelled
        self._units = units
        self._factors = Factors(units)
        self._required = None if required is None else frozenset(required)

    def find(self, frame: Frame, roles: Roles, name: str) -> tuple[str, Any] | None:
        """Return key and value of a label as stored in the file; None if it is missing."""
        key = getattr(self._keys, name)
        if key is False:
            return None
        if key is not None:
            for place in (frame.fields, frame.results):
                if place.get(key) is not None:
                    return key, place[key]
            self._lacking(frame, name, key)
            return None
        if name == "stress" and self._units.stress == "virial" and roles.virial is not None:
            return roles.virial, frame.fields[roles.virial]
        for place in (frame.results, frame.fields):
            if place.get(name) is not None:
                if name == "stress" and only_virial_counts(frame, roles):
                    break
                self._note_competing(frame, roles, name, name, place[name])
                return name, place[name]
        if (key := self._alias(frame, roles, name)) is not None:
            self._note_competing(frame, roles, name, key, frame.fields[key])
            return key, frame.fields[key]
        self._absent(frame, roles, name)
        return None

    def _alias(self, frame: Frame, roles: Roles, name: str) -> str | None:
        """Return another key with the meaning of a label, and note that it is taken."""
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
        """Note that a frame lacks a label whose key was given; raise if the label is required."""
        spared = frame.is_isolated_atom and name != "energy"
        if spared:
            return
        if name in (self._required or ()) or (frame.is_isolated_atom and name == "energy"):
            raise self._no_label(frame, name, key)
        if not any(self.may_hold(frame, other) for other in QUANTITIES if other != name):
            raise self._no_label(frame, name, key)
        frame.notes.append(f"{lack_of(name, key)}, but {_listing(frame)}")

    def _absent(self, frame: Frame, roles: Roles, name: str) -> None:
        """Raise UserError if a label is required, or is likely to be under another key."""
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
        if any(np.size(frame.fields[key]) == size for key in roles.possible[name]):
            raise self._no_label(frame, name, name)
        if not any(self.may_hold(frame, other) for other in QUANTITIES if other != name):
            if self._unlabelled:
                return
            raise self._no_label(frame, name, name)
        free = free_energy(frame, roles) if name == "energy" else None
        frame.notes.append(
            f"no {name}" + (f"; set keys.energy: {free[0]} to take that" if free else "")
        )

    def may_hold(self, frame: Frame, name: str) -> bool:
        """Return whether a frame may have a label, to find frames without any."""
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

    def _note_competing(
        self, frame: Frame, roles: Roles, name: str, taken: str, value: Any
    ) -> None:
        """Note competing labels, unless the labels of the source are known."""
        if self._required is None:
            note_competing(frame, roles, name, taken, value, self._factors)


def lack_of(name: str, key: str) -> str:
    """Return the beginning of a note on a missing label."""
    return f"no {name} under the key {key!r}"


def _listing(frame: Frame) -> str:
    found = sorted({*frame.fields, *frame.results} - {"numbers", "positions"})
    return ", ".join(found)
