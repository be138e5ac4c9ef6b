"""The comment line of extended XYZ: keys, values and periodicity.

ASE reads such lines character by character, distinguishes ``Lattice`` from ``lattice``, takes any
string under ``pbc`` as true, and rejects a stress of six numbers. Values are converted as in ASE.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

FORTRAN = "Fortran's exponents (1.0D-3) read as 1.0E-3"

# Keys for which ASE knows only one spelling.
_CANONICAL = {"lattice": "Lattice", "properties": "Properties", "pbc": "pbc"}
_MATRICES = ("Lattice", "virial", "stress")
_UNCONVERTED = "uid"

_SPECIAL = re.compile(r"[\s=\\\"'{\[]")
_SPACE = re.compile(r"\s*")
# The rest of a string after its opening mark, up to the closing one.
_QUOTED = {
    mark: re.compile(rf"((?:\\.|[^{re.escape(end)}\\])*){re.escape(end)}", re.S)
    for mark, end in {'"': '"', "'": "'", "{": "}", "[": "]"}.items()
}
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
# Other names of the cell.
_CELL = re.compile(
    r"(.*_)?(unit_?)?(cell|box|lattice)s?(_?(vec|par|mat|len|dim|abc|size).*)?", re.I
)
_LENGTHS = ("a", "b", "c")
# Other names of pbc.
_PBC = re.compile(
    r"pbcs|periodic(ity)?|is_periodic|(periodic_)?boundar(y|ies)(_conditions?)?", re.I
)


def parse_comment(line: str, notes: list[str]) -> dict[str, Any]:
    """Return the keys and values of a comment line.

    ``Lattice``, ``Properties`` and ``pbc`` are returned in this spelling for any case; the value of
    ``pbc`` is three booleans, that of ``Lattice`` is ``[3, 3]`` with vectors as columns.

    Args:
        line: the line without line end.
        notes: list to append notes to.

    Raises:
        ValueError: if a key occurs twice with different values, or ``pbc`` or ``Lattice`` is
            invalid.
    """
    texts: dict[str, str] = {}
    for key, text in _pairs(line):
        name = _CANONICAL.get(key.lower(), key)
        if name in texts and texts[name] != text:
            raise ValueError(f"the key {name!r} occurs twice, with different values")
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
    if "pbc" not in info:
        _check_no_periodicity(texts, periodic="Lattice" in info)
    return info


def parse_pbc(text: str) -> list[bool]:
    """Return the periodicity along three vectors from the usual spellings.

    These are ``T T F``, ``t,t,f``, ``TTF``, ``[true, true, false]``, ``1 1 0`` and ``T`` for all
    three.

    Raises:
        ValueError: if it is anything else.
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
    """Return a string with Fortran's exponents converted, and whether there were any."""
    replaced, count = re.subn(rf"(?<!\S){_D_EXPONENT.pattern}(?!\S)", r"\1e\2", text)
    return replaced, count > 0


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    """Yield keys and values without quotes; a key without a value is a flag.

    An unclosed quote or bracket is an ordinary character, because comments contain apostrophes.
    Every character is examined only a few times, even in malicious lines.
    """
    words: list[str] = []  # the key, followed by the pieces between equality signs
    pieces: list[str] = []  # pieces of the current word, if any
    unclosed = set()
    place = 0
    while place < len(line):
        match = _SPECIAL.search(line, place)
        stop = match.start() if match else len(line)
        if stop > place:
            pieces.append(line[place:stop])
        if match is None:
            break
        mark, place = match.group(), stop + 1
        if mark in _QUOTED:
            quoted = None if mark in unclosed else _QUOTED[mark].match(line, place)
            if quoted is None:
                unclosed.add(mark)
                pieces.append(mark)
            else:
                pieces.append(_ESCAPED.sub(r"\1", quoted.group(1)))
                place = quoted.end()
        elif mark == "\\":
            pieces.append(line[place : place + 1])
            place += 1
        elif mark == "=":
            words.append("".join(pieces))
            pieces = []
        else:
            if (space := _SPACE.match(line, place)) is not None:
                place = space.end()
            if pieces and line[place : place + 1] != "=":
                yield _pair([*words, "".join(pieces)])
                words, pieces = [], []
    if words or pieces:
        yield _pair([*words, "".join(pieces)])


def _pair(words: list[str]) -> tuple[str, str]:
    return words[0], "T" if len(words) == 1 else "=".join(words[1:])


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
    """Return words as integers or floats; None if there are none or one is not a number."""
    if not words or not (words[0][-1].isdigit() or words[0][-1] in ".fFnNyY"):
        return None  # quick: most texts end here
    for convert, kind in ((int, np.int64), (float, np.float64)):
        try:
            # Python accepts 1_000 as a number, but such words are names of frames.
            if any("_" in word for word in words):
                return None
            return np.array([convert(word) for word in words], dtype=kind)
        except (ValueError, OverflowError):
            continue
    return None


def _check_no_cell(info: dict[str, Any]) -> None:
    """Reject a frame without Lattice that seems to have a cell under another name."""
    for key, value in info.items():
        if _CELL.fullmatch(key) and np.size(value) in (3, 6, 9) and not isinstance(value, str):
            raise ValueError(f"there is no Lattice, but {key!r} looks like the cell; rename it")
    if all(isinstance(info.get(key), int | float | np.number) for key in _LENGTHS):
        raise ValueError("there is no Lattice, but a, b and c; write Lattice with nine numbers")


def _check_no_periodicity(texts: dict[str, str], periodic: bool) -> None:
    """Reject a frame without pbc that seems to have a different periodicity under another name."""
    for key, text in texts.items():
        if not _PBC.fullmatch(key):
            continue
        try:
            values = parse_pbc(text)
        except ValueError:
            if len(_PARTS.findall(text)) != 3:
                continue  # another quantity
            values = []
        if values != [periodic] * 3:
            raise ValueError(
                f'there is no pbc, but {key!r} ({text}) looks like it; write pbc="T T F" or such'
            )
