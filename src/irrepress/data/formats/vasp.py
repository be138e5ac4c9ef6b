"""Remarks on VASP outputs: ASE silently drops a truncated last step.

ASE uses the energy extrapolated to zero smearing. Forces and stress are derivatives of the free
energy (TOTEN), which it stores as ``free_energy``.
"""

import re
import xml.etree.ElementTree
from pathlib import Path

# "--------- Iteration      3(   1)  ---------": first electronic step of the third ionic one.
_ITERATION = re.compile(rb"-+ Iteration +(\d+)\( *\d+\)")
_END = b"General timing and accounting"

UNFINISHED = "file without the end that VASP writes: the run was stopped or is still running"


def remarks_on_outcar(path: Path, frames: int) -> list[str]:
    """Return remarks on an OUTCAR that was read.

    Args:
        path: the file.
        frames: number of complete ionic steps found by ASE.
    """
    begun, ended = 0, False
    with path.open("rb") as stream:
        for line in stream:
            if b"Iteration" in line and (match := _ITERATION.search(line)):
                begun = max(begun, int(match[1][:9]))
            ended = ended or _END in line
    return _remarks(begun - frames, ended)


def remarks_on_vasprun(path: Path, frames: int) -> list[str]:
    """Return remarks on a vasprun.xml that was read, as `remarks_on_outcar` does."""
    begun, ended = 0, True
    try:
        for event, element in xml.etree.ElementTree.iterparse(path, events=("start", "end")):
            if event == "start":
                begun += element.tag == "calculation"
            elif element.tag == "calculation":
                element.clear()
    except xml.etree.ElementTree.ParseError:
        ended = False
    return _remarks(begun - frames, ended)


def _remarks(lost: int, ended: bool) -> list[str]:
    remarks = ["ionic step left out: the file ends within it, or is damaged there"] * max(lost, 0)
    return remarks if ended else [*remarks, UNFINISHED]
