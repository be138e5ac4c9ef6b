"""The columns of extended XYZ, described by ``Properties``."""

from dataclasses import dataclass
from functools import lru_cache

# Names of atoms are read under a name unknown to ASE, and interpreted here.
SPECIES = "species_of_file"
_SPECIES = ("species", "symbol", "symbols", "element", "elements")
_POSITIONS = ("pos", "position", "positions")
_NUMBERS = ("z", "numbers", "atomic_numbers", "atomic_number")
# Vectors whose components are in consecutive columns with separate names.
_COMPONENTS = {
    ("x", "y", "z"): "pos",
    **{
        tuple(f"{name}{axis}" for axis in "xyz"): "forces"
        for name in ("f", "f_", "force_", "forces_")
    },
}


@dataclass(frozen=True)
class Columns:
    """The columns of a frame.

    Attributes:
        properties: description of the columns for ASE.
        count: number of columns.
        numbered: whether atomic numbers are included, which take precedence over names of atoms.
        notes: notes on the columns.

    Example:
        >>> columns = columns_of("species:S:1:pos:R:3:fx:R:1:fy:R:1:fz:R:1")
        >>> columns.count, columns.notes
        (7, ('columns fx, fy, fz taken as forces',))
    """

    properties: str
    count: int
    numbered: bool
    notes: tuple[str, ...]


@lru_cache(maxsize=256)
def columns_of(properties: str) -> Columns:
    """Parse ``Properties``; names of species, atomic numbers and positions may be in any case.

    Components of positions or forces in separate columns (``fx:R:1:fy:R:1:fz:R:1``) are joined.

    Raises:
        ValueError: if it is not of the form NAME:TYPE:COLUMNS:..., repeats a name, or lacks
            positions or species.
    """
    words = properties.split(":")
    if len(words) % 3 or not all(word.isdigit() for word in words[2::3]):
        raise ValueError(f"Properties is {properties!r}, not NAME:TYPE:COLUMNS:...")
    notes: list[str] = []
    columns = _joined(list(zip(words[::3], words[1::3], map(int, words[2::3]), strict=True)), notes)
    counts = [count for _, _, count in columns]
    names: list[str] = []
    kinds: list[str] = []
    for name, kind, count in columns:
        own = name.lower()
        if own in _SPECIES and kind.upper() == "I":
            notes.append("species declared as integers taken as atomic numbers")
            own = "z"
        if own in _SPECIES and count == 1:
            name = SPECIES
        elif own in _NUMBERS and count == 1:
            name = "Z"
        elif own in _POSITIONS and count == 3:
            name = "pos"
        names.append(name)
        kinds.append(kind.upper())
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"Properties names {' and '.join(twice)} twice")
    for needed in ((SPECIES, "Z"), ("pos",)):
        if not set(needed) & set(names):
            what = "species" if SPECIES in needed else "pos (positions)"
            raise ValueError(f"Properties is {properties!r}, which names no {what}")
    parts = zip(names, kinds, map(str, counts), strict=True)
    text = ":".join(":".join(part) for part in parts)
    return Columns(text, sum(counts), "Z" in names, tuple(notes))


def _joined(columns: list[tuple[str, str, int]], notes: list[str]) -> list[tuple[str, str, int]]:
    """Return columns in which the three components of a vector are joined."""
    joined = []
    place = 0
    while place < len(columns):
        three = columns[place : place + 3]
        vector = _COMPONENTS.get(tuple(name.lower() for name, _, _ in three))
        if vector and all(kind.upper() == "R" and count == 1 for _, kind, count in three):
            notes.append(f"columns {', '.join(name for name, _, _ in three)} taken as {vector}")
            joined.append((vector, "R", 3))
            place += 3
        else:
            joined.append(columns[place])
            place += 1
    return joined
