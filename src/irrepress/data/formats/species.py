"""Elements from the names of atoms in files."""

import re
from collections.abc import Sequence

import numpy as np
from ase.data import chemical_symbols

# 0 is ASE's X, a dummy atom, which checks of structures reject.
_NUMBERS = {symbol: number for number, symbol in enumerate(chemical_symbols)}
_HYDROGEN = ("D", "T")
# A site or type after the symbol: Si1, C_2, Fe3+, O-ads, H(1).
_NAMED = re.compile(r"([A-Z][a-z]?)(?:[\d_+\-*'(.].*)")

ISOTOPES = "D or T taken as hydrogen"
CAPITALS = "atom names of two capitals such as SI taken as elements"
NAMES = "atom names such as Si1 or C_2 taken as the elements that they begin with"


def atomic_numbers(names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Return the atomic numbers of atoms, and notes on their names.

    Args:
        names: symbols in any case, optionally followed by a number or name of a site.

    Raises:
        ValueError: if a name is not that of an element; the message suggests a correction.
    """
    try:
        return np.array([_NUMBERS[name] for name in names], dtype=np.int64), []
    except KeyError:
        pass
    known: dict[str, tuple[int, str | None]] = {}
    for name in dict.fromkeys(names):
        known[name] = _number(name)
    notes = dict.fromkeys(note for _, note in known.values() if note)
    return np.array([known[name][0] for name in names], dtype=np.int64), list(notes)


def _number(name: str) -> tuple[int, str | None]:
    symbol = name.capitalize()
    if symbol in _NUMBERS:
        # CO may be a kind of carbon; lower case is unambiguous.
        return _NUMBERS[symbol], CAPITALS if len(name) == 2 and name.isupper() else None
    if symbol in _HYDROGEN:
        return 1, ISOTOPES
    match = _NAMED.fullmatch(name[:1].upper() + name[1:])
    if match and match.group(1) in _NUMBERS:
        return _NUMBERS[match.group(1)], NAMES
    if match and match.group(1) in _HYDROGEN:
        return 1, ISOTOPES
    if name.isdigit():
        raise ValueError(
            f"the atoms are named by numbers ({name}), which may be atomic numbers or types; "
            "write symbols, or declare atomic numbers as Properties=Z:I:1:pos:R:3:..."
        )
    raise ValueError(f"{name!r} is not an element; use the symbols of elements")
