"""Faults of CIFs: files from diffraction that describe more or less than one set of atoms.

ASE reads them without a word: a site that several elements share gets the most frequent one, and
hydrogen that was not located is not there.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ase.io.cif import parse_cif

from irrepress.core.errors import UserError
from irrepress.data.formats.frame import Frame

# Refined occupancies of full sites differ from 1 by less.
_FULL = 0.99
# Sites that agree with the formula differ from its proportions by less.
_SAME = 0.02
_TERM = re.compile(r"([A-Z][a-z]?)\s*(\d*\.?\d*)")


def check_occupancies(frame: Frame) -> None:
    """Check that every site of a frame holds one atom.

    Args:
        frame: a frame with ASE's ``occupancy`` among its fields, if it comes from a CIF.

    Raises:
        UserError: if a site is shared, or partly empty.
    """
    occupancy = frame.fields.get("occupancy")
    if not isinstance(occupancy, Mapping):
        return
    for site in occupancy.values():
        if isinstance(site, Mapping) and (len(site) > 1 or min(site.values(), default=1) < _FULL):
            shares = " and ".join(f"{share:.3g} {element}" for element, share in site.items())
            raise UserError(
                f"{frame.where}: a site is occupied by {shares} (partial occupancies, as in a "
                "disordered crystal), but a structure has whole atoms; order it, for example with "
                "pymatgen's OrderDisorderedStructureTransformation, and give one or several "
                "ordered cells"
            )


def remarks_on_cif(path: Path, frames: Sequence[Sequence[str]]) -> list[str]:
    """Return remarks on a CIF that was read: its data blocks, and hydrogen that its sites lack.

    Args:
        path: the file.
        frames: the symbols of the atoms of each structure found in it.
    """
    remarks, found = [], iter(frames)
    if len(frames) > 1:
        remarks.append("CIF with several data blocks, each read as a structure")
    for block in parse_cif(str(path)):
        if not block.has_structure():
            remarks.append("data block of a CIF without atoms, left out")
            continue
        counts = Counter(map(_symbol, next(found)))
        lacking = lacking_elements(str(block.get("_chemical_formula_sum", "")), counts)
        if lacking:
            remarks.append(
                f"CIF whose sites lack {' and '.join(lacking)} of its formula; add these atoms, or "
                "the structure is another compound"
            )
    return remarks


def lacking_elements(formula: str, counts: Mapping[str, int]) -> list[str]:
    """Return the elements that are rarer among atoms than a formula says.

    Args:
        formula: a formula with spaces, as in CIFs: ``C6 H12 O6``.
        counts: symbol -> number of atoms.

    >>> lacking_elements("C6 H12 O6", {"C": 24, "O": 24})
    ['H']
    """
    wanted: dict[str, float] = {}
    for element, number in _TERM.findall(formula):
        symbol = _symbol(element)
        wanted[symbol] = wanted.get(symbol, 0) + float(number or 1)
    units = max((counts.get(e, 0) / n for e, n in wanted.items() if n > 0), default=0)
    return sorted(e for e, n in wanted.items() if counts.get(e, 0) < (1 - _SAME) * n * units)


def _symbol(element: str) -> str:
    return "H" if element in ("D", "T") else element


def notes_on(atoms: Any) -> list[str]:
    """Return notes on what ASE read and a structure does not keep."""
    if getattr(atoms, "constraints", None):
        return ["constraints, such as selective dynamics, not kept: all atoms may move"]
    return []
