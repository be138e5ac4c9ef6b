"""What the keys of a frame look like: labels under other names, weights, virials, cells.

Frames of a file have the same keys, so that a frame costs one look-up here.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

LABELS = ("energy", "forces", "stress")
# Names that can mean nothing else, whatever their case; the first is ASE's own.
_ALIASES = {"energy": ("energy",), "forces": ("forces", "force"), "stress": ("stress",)}
_VIRIALS = ("virial", "virials")
# What mostly is the label of another calculation...
_LOOKS = {
    "energy": re.compile(r"(^|[_-])(tot(al)?_?)?energ(y|ies)$|^(e|etot|e_tot(al)?)$", re.I),
    "forces": re.compile(r"(^|[_-])(forces?|grad(ient)?s?)$", re.I),
    "stress": re.compile(r"(^|[_-])(stress(es)?|virials?)$|^virials?_stress(es)?$", re.I),
}
# ... and not another quantity. The free energy is told of separately.
_ANOTHER = re.compile(
    r"free|kinetic|formation|adsorption|binding|atomi[sz]ation|interaction|cohesive|fermi|hull|"
    r"zero_?point|nuclear|repulsion|dispersion|per_?atom|max|norm|rms|std|var",
    re.I,
)
# What may be the label where no better key is there.
_MAY_BE = {"energy": re.compile("ene?rg|etot", re.I), "forces": re.compile("for[ck]|grad", re.I)}
_WEIGHT = re.compile(r"(?<![a-z])weights?(?![a-z])", re.I)
_WHOLE_WEIGHT = re.compile(r"((config|configuration|frame|structure|sample)_)?weights?", re.I)
_WEIGHED = {
    "energy": re.compile(r"energy", re.I),
    "forces": re.compile(r"forces?", re.I),
    "stress": re.compile(r"stress(es)?|virials?", re.I),
}


@dataclass(frozen=True)
class Roles:
    """What the keys of a frame may be.

    Attributes:
        alias: label -> key that means it, though not ASE's own, such as ``Energy``, ``force``.
        virial: key of a virial, such as ``virial`` or ``virials``; None if there is none.
        others: label -> further keys that look like it, such as ``REF_energy``.
        possible: label -> all keys that might be it, such as ``energie``.
        weights: label -> keys of weights of this label.
        whole_weights: keys of weights of all labels of a frame.
    """

    alias: Mapping[str, str]
    virial: str | None
    others: Mapping[str, tuple[str, ...]]
    possible: Mapping[str, tuple[str, ...]]
    weights: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    whole_weights: tuple[str, ...] = ()


@lru_cache(maxsize=1024)
def roles_of(keys: tuple[str, ...]) -> Roles:
    """Say what keys look like.

    Args:
        keys: of one frame's fields.
    """
    alias = {
        label: key
        for label, names in _ALIASES.items()
        for name in reversed(names)
        for key in keys
        if key.lower() == name and key != label
    }
    virials = [key for name in _VIRIALS for key in keys if key.lower() == name]
    known = {*LABELS, *alias.values()}
    others = {
        label: tuple(
            key
            for key in keys
            if key not in known and look.search(key) and not _ANOTHER.search(key)
        )
        for label, look in _LOOKS.items()
    }
    weighing = [key for key in keys if _WEIGHT.search(key.replace("_", " "))]
    possible = {
        label: tuple(key for key in keys if key not in weighing and look.search(key))
        for label, look in _MAY_BE.items()
    }
    weights = {
        label: tuple(key for key in weighing if word.search(key))
        for label, word in _WEIGHED.items()
    }
    whole = tuple(key for key in weighing if _WHOLE_WEIGHT.fullmatch(key))
    return Roles(alias, virials[0] if virials else None, others, possible, weights, whole)


def weights_of(fields: Mapping[str, Any], keys: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the keys that hold numbers, with them, of those that look like weights."""
    for key in keys:
        if fields[key] is None:
            continue
        try:
            values = np.asarray(fields[key], dtype=np.float64)
        except (TypeError, ValueError):
            continue
        if values.size:
            yield key, values
