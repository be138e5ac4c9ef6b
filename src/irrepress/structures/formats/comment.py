"""The comment line of extended XYZ: its keys and values, and what is periodic.

ASE reads such lines character by character, tells ``Lattice`` from ``lattice``, takes any text
under ``pbc`` for true, and refuses a stress of six numbers. Values are converted as ASE does.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

FORTRAN = "Fortran's exponents (1.0D-3) read as 1.0E-3"

# What ASE knows by one spelling only.
_CANONICAL = {"lattice": "Lattice", "properties": "Properties", "pbc": "pbc"}
_MATRICES = ("Lattice", "virial", "stress")
_UNCONVERTED = "uid"

_QUOTED = (
    r'"(?:\\.|[^"\\])*"',
    r"'(?:\\.|[^'\\])*'",
    r"\{(?:\\.|[^}\\])*\}",
    r"\[(?:\\.|[^\]\\])*\]",
    r"\\.",
)
# A quote that nothing closes is a character like any other: comments hold apostrophes.
_PIECE = re.compile("|".join([*_QUOTED, r"[^\s=\\\"'{\[]+", r"[\"'{\[\\]"]), re.S)
_WORD = rf"(?:{_PIECE.pattern})+"
_PAIR = re.compile(rf"(?P<key>{_WORD})(?:\s*=\s*(?P<value>{_WORD}(?:=(?:{_WORD})?)*)?)?", re.S)
_ESCAPED = re.compile(r"\\(.)", re.S)
_PARTS = re.compile(r"[^\s,]+")
_D_EXPONENT = re.compile(r"([+-]?(?:\d+\.\d*|\.\d+))[dD]([+-]?\d+)")
_BOOLEANS = {
    **dict.fromkeys(("T", "true", "True", "TRUE"), True),
    **dict.fromkeys(("F", "false", "False", "FALSE"), False),
}
_PERIODIC = {
    **dict.fromkeys(("t", "true", ".true.", "1"), True),
    **dict.fromkeys(("f", "false", ".false.", "0"), False),
}
# Other names for the cell, with or without what it is given by.
_CELL = re.compile(r"(unit_?)?(cell|box|lattice)(_?(vectors?|matrix|parameters|lengths))?", re.I)


def parse_comment(line: str, notes: list[str]) -> dict[str, Any]:
    """Return the keys and values of a comment line.

    ``Lattice``, ``Properties`` and ``pbc`` come under these spellings whatever they are written
    as; the value of ``pbc`` is three booleans, that of ``Lattice`` ``[3, 3]`` with vectors as
    columns.

    Args:
        line: text without the end of the line.
        notes: what is to be told of it is appended.

    Raises:
        ValueError: a key stands twice with different values, or ``pbc`` or ``Lattice`` cannot be
            understood.
    """
    texts: dict[str, str] = {}
    for key, text in _pairs(line):
        name = _CANONICAL.get(key.lower(), key)
        if name in texts and texts[name] != text:
            raise ValueError(f"the key {name!r} stands twice, with different values")
        texts[name] = text
    info: dict[str, Any] = {}
    for key, text in texts.items():
        if key == "Properties":
            info[key] = text
        elif key == "pbc":
            info[key] = parse_pbc(text)
        elif key.lower() == _UNCONVERTED:
            info[key] = text
        else:
            info[key] = _converted(key, text, notes)
    if "Lattice" not in info:
        _check_no_cell(info)
    return info


def parse_pbc(text: str) -> list[bool]:
    """Return the periodicity along three vectors from the usual spellings.

    Such are ``T T F``, ``t,t,f``, ``TTF``, ``[true, true, false]``, ``1 1 0`` and ``T`` for
    all three.

    Raises:
        ValueError: it is something else.
    """
    words = _PARTS.findall(text.removeprefix("_JSON ").strip().strip("[](){}").lower())
    if len(words) == 1 and len(words[0]) == 3:
        words = list(words[0])
    if len(words) == 1:
        words = words * 3
    if len(words) != 3 or any(word not in _PERIODIC for word in words):
        raise ValueError(f'pbc is {text!r}, not three booleans such as "T T F"')
    return [_PERIODIC[word] for word in words]


def with_exponents(text: str) -> tuple[str, bool]:
    """Return a text with Fortran's exponents as others write them, and whether there were any."""
    replaced, count = re.subn(rf"(?<!\S){_D_EXPONENT.pattern}(?!\S)", r"\1e\2", text)
    return replaced, count > 0


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    for match in _PAIR.finditer(line):
        value = match.group("value")
        # A key alone is a flag.
        yield _plain(match.group("key")), "T" if value is None else _plain(value)


def _plain(word: str) -> str:
    """Return a word without the quotes and brackets around its pieces."""
    if word[0] == '"' and "\\" not in word and word.find('"', 1) == len(word) - 1 > 0:
        return word[1:-1]
    if not any(mark in word for mark in "\"'{[\\"):
        return word
    pieces = []
    for piece in _PIECE.findall(word):
        if len(piece) > 1 and piece[0] in "\"'{[":
            piece = piece[1:-1]
        pieces.append(_ESCAPED.sub(r"\1", piece))
    return "".join(pieces)


def _converted(key: str, text: str, notes: list[str]) -> Any:
    words = _PARTS.findall(text)
    numbers = _numbers(words)
    if numbers is None and any(_D_EXPONENT.fullmatch(word) for word in words):
        numbers = _numbers([_D_EXPONENT.sub(r"\1e\2", word) for word in words])
        if numbers is not None and FORTRAN not in notes:
            notes.append(FORTRAN)
    if key == "Lattice" and (numbers is None or len(numbers) != 9):
        raise ValueError(f"Lattice is {text!r}, not nine numbers")
    if numbers is not None:
        if len(numbers) == 1:
            return numbers[0]
        if len(numbers) == 9 and key in _MATRICES:
            return numbers.reshape((3, 3), order="F")
        return numbers
    if words and all(word in _BOOLEANS for word in words):
        values = [_BOOLEANS[word] for word in words]
        return values[0] if len(values) == 1 else values
    if text.startswith("_JSON "):
        content = json.loads(text.removeprefix("_JSON "))
        array = np.array(content)
        return array if array.dtype.kind in "ifb" else content
    return text


def _numbers(words: list[str]) -> np.ndarray | None:
    """Return words as integers, else as floats; None if one is no number or there are none."""
    if not words or not (words[0][-1].isdigit() or words[0][-1] in ".fFnNyY"):
        return None  # quick: most texts end here
    for convert, kind in ((int, np.int64), (float, np.float64)):
        try:
            # Python takes 1_000 for a number, which names of frames are not.
            if any("_" in word for word in words):
                return None
            return np.array([convert(word) for word in words], dtype=kind)
        except (ValueError, OverflowError):
            continue
    return None


def _check_no_cell(info: dict[str, Any]) -> None:
    """Refuse a frame that has no Lattice, but what looks like one under another name."""
    for key, value in info.items():
        if _CELL.fullmatch(key) and np.size(value) in (3, 6, 9) and not isinstance(value, str):
            raise ValueError(f"there is no Lattice, but {key!r} looks like the cell; rename it")
