"""Roles of a frame's keys: labels under other names, weights, virials.

Frames of a file have the same keys, so results are cached.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from irrepress.core.quantities import QUANTITIES

# Unambiguous names, in any case; the first is ASE's own.
_ALIASES = {"energy": ("energy",), "forces": ("forces", "force"), "stress": ("stress",)}
_VIRIALS = ("virial", "virials")
# Keys that are usually labels of another calculation...
_LOOKS = {
    "energy": re.compile(r"(^|[_-])(tot(al)?_?)?energ(y|ies)$|^(e|etot|e_tot(al)?)$", re.I),
    "forces": re.compile(r"(^|[_-])(forces?|grad(ient)?s?)$", re.I),
    "stress": re.compile(r"(^|[_-])(stress(es)?|virials?)$|^virials?_stress(es)?$", re.I),
}
# ... unless they are another quantity. The free energy is noted separately.
_ANOTHER = re.compile(
    r"free|kinetic|formation|adsorption|binding|atomi[sz]ation|interaction|cohesive|fermi|hull|"
    r"zero_?point|nuclear|repulsion|dispersion|per_?atom|max|norm|rms|std|var",
    re.I,
)
# Other energies that forces may belong to, and energies per atom.
_FREE = re.compile(r"(.*_)?(free_?(energy|energies|e)|e_?free|toten)", re.I)
_PER_ATOM = re.compile(r"per_?atom|/atom", re.I)
_VIRIAL = re.compile(r"(.*[_-])?virials?", re.I)
# Keys that may be labels if there are no better ones.
_MAY_BE = {"energy": re.compile("ene?rg|etot", re.I), "forces": re.compile("for[ck]|grad", re.I)}
_WEIGHT = re.compile(r"(?<![a-z])(weights?|wts?)(?![a-z])|^w (?=[a-z])|(?<=[a-z]) w$", re.I)
_WHOLE_WEIGHT = re.compile(
    r"((config(_type)?|configuration|frame|structure|sample|head|loss|training)_)?(weights?|wts?)",
    re.I,
)
_WEIGHED = {
    "energy": re.compile(r"energy|energies|(?<![a-z])e(?![a-z])", re.I),
    "forces": re.compile(r"forces?|(?<![a-z])f(?![a-z])", re.I),
    "stress": re.compile(r"stress(es)?|virials?|(?<![a-z])[sv](?![a-z])", re.I),
}


@dataclass(frozen=True)
class Roles:
    """Possible roles of a frame's keys.

    Attributes:
        alias: label -> another key with the same meaning as ASE's, such as ``Energy``, ``force``.
        virial: key of a virial, such as ``virial`` or ``virials``; None if there is none.
        others: label -> further keys that look like it, such as ``REF_energy``.
        possible: label -> all keys that might be it, such as ``energie``.
        weights: label -> keys of weights for this label.
        whole_weights: keys of weights for all labels of a frame.
        other_weights: keys of other weights.
        free: keys of energies that forces may belong to, such as ``Free_Energy``.
        per_atom: keys of energies per atom.

    Example:
        >>> roles_of(("Energy", "virial")).alias, roles_of(("Energy", "virial")).virial
        ({'energy': 'Energy'}, 'virial')
    """

    alias: Mapping[str, str]
    virial: str | None
    others: Mapping[str, tuple[str, ...]]
    possible: Mapping[str, tuple[str, ...]]
    weights: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    whole_weights: tuple[str, ...] = ()
    other_weights: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    per_atom: tuple[str, ...] = ()


@lru_cache(maxsize=1024)
def roles_of(keys: tuple[str, ...]) -> Roles:
    """Return the roles of keys by their names.

    Args:
        keys: keys of one frame's fields.
    """
    alias = {
        label: key
        for label, names in _ALIASES.items()
        for name in reversed(names)
        for key in keys
        if key.lower() == name and key != label
    }
    virials = [key for name in _VIRIALS for key in keys if key.lower() == name]
    known = {*QUANTITIES, *alias.values()}
    weighing = [key for key in keys if _WEIGHT.search(key.replace("_", " "))]
    others = {
        label: tuple(
            key
            for key in keys
            if key not in known
            and key not in weighing
            and look.search(key)
            and not _ANOTHER.search(key)
        )
        for label, look in _LOOKS.items()
    }
    possible = {
        label: tuple(key for key in keys if key not in weighing and look.search(key))
        for label, look in _MAY_BE.items()
    }
    weights = {
        label: tuple(key for key in weighing if word.search(key.replace("_", " ")))
        for label, word in _WEIGHED.items()
    }
    whole = tuple(key for key in weighing if _WHOLE_WEIGHT.fullmatch(key))
    known_weights = {*whole, *(key for of_label in weights.values() for key in of_label)}
    return Roles(
        alias,
        virials[0] if virials else None,
        others,
        possible,
        weights,
        whole,
        other_weights=tuple(key for key in weighing if key not in known_weights),
        free=tuple(key for key in keys if _FREE.fullmatch(key) and key not in weighing),
        per_atom=tuple(key for key in possible["energy"] if is_per_atom(key)),
    )


def is_per_atom(key: str) -> bool:
    """Return whether a key indicates an energy per atom."""
    return bool(_PER_ATOM.search(key))


def is_gradient(key: str) -> bool:
    """Return whether a key indicates a gradient of the energy, minus the forces."""
    return "grad" in key.lower()


def is_virial(key: str) -> bool:
    """Return whether a key indicates a virial instead of a stress."""
    return bool(_VIRIAL.fullmatch(key))


def weights_of(fields: Mapping[str, Any], keys: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the keys with numeric values, and the values."""
    for key in keys:
        if fields[key] is None:
            continue
        try:
            values = np.asarray(fields[key], dtype=np.float64)
        except (TypeError, ValueError):
            continue
        if values.size:
            yield key, values
