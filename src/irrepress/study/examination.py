"""What files of structures hold, found before a study of them begins.

They are read as the study reads them, into a store that is thrown away. What is worth knowing
comes back as findings, each with its mend.
"""

import logging
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import ase.io
from ase.data import chemical_symbols

from irrepress.core.errors import UserError
from irrepress.core.quantities import QUANTITIES
from irrepress.data.config import Files, LabelKeys
from irrepress.data.convert import store_files
from irrepress.data.formats.keys import is_virial, roles_of
from irrepress.data.paths import locate
from irrepress.data.store import StructureStore
from irrepress.data.summary.printing import overview
from irrepress.data.summary.records import DatasetSummary
from irrepress.data.summary.scan import summarize
from irrepress.data.summary.suspects import KINDS

# Frames that are read of every file: enough to know a dataset by, in seconds.
MOST_FRAMES = 2000
# Fewer frames hardly teach more than what they show.
FEW_FRAMES = 50
# Parts of an overview that are told of any dataset.
_TOLD = ("structures", "systems", "parts", "labelled", "elements")
# What can be done about a kind of suspicious structures.
_MENDS = {
    "duplicate": "remove the copies, which count several times",
    "leak": "let frames of one trajectory share a group (keys.group), which stays in one part",
    "single": "mark isolated atoms by config_type=IsolatedAtom",
}
_MEND = "correct or remove them; the report shows all"


@dataclass(frozen=True)
class Finding:
    """Something worth knowing about files.

    Attributes:
        text: what was found.
        mend: what can be done about it; empty if nothing is wrong.

    Example:
        >>> print(Finding("3 duplicates", "remove them"))
        3 duplicates; remove them
    """

    text: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.text}; {self.mend}" if self.mend else self.text


@dataclass(frozen=True)
class Examination:
    """What files hold.

    Attributes:
        files: the files as they are read, with the keys of the labels that were found.
        summary: what they hold.
        findings: what is worth knowing about them.

    Example:
        >>> from irrepress.data.summary.scan import summarize
        >>> examination = Examination(config.datasets["silicon"], summarize(store), findings=[])
        >>> examination.elements, examination.largest
        ([14], 2)
    """

    files: Files
    summary: DatasetSummary
    findings: Sequence[Finding]

    @property
    def elements(self) -> list[int]:
        """The atomic numbers of their elements, sorted."""
        return [element.number for element in self.summary.elements]

    @property
    def largest(self) -> int:
        """Number of atoms of the largest structure."""
        return int(self.summary.sizes.maximum)


def examine(files: Files) -> Examination:
    """Read files as a study does, and say what they hold.

    Args:
        files: how a config names them; at most `MOST_FRAMES` frames of every file are read.

    Raises:
        UserError: if a file is missing, empty, of an unknown format, or has no labels.
    """
    keys = proposed_keys(files)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.h5"
        limit = MOST_FRAMES if files.limit is None else min(files.limit, MOST_FRAMES)
        found = files.model_copy(update={"keys": keys})
        logging.disable(logging.WARNING)  # what the reader warns of is among the findings
        try:
            store_files(path, found.model_copy(update={"limit": limit}))
            summary = summarize(StructureStore(path))
        finally:
            logging.disable(logging.NOTSET)
    findings = [*_about_keys(files.keys, keys), *_about_summary(summary)]
    return Examination(found, summary, findings)


def proposed_keys(files: Files) -> LabelKeys:
    """Return the keys of labels, with those that only one key of the first frame can be.

    Such as ``REF_energy``, where there is no ``energy``. What a user gives stays.
    """
    given = files.keys
    fields = _fields_of(Path(locate(files).paths["paths"][0]))
    roles = roles_of(tuple(sorted(fields)))
    proposed = {}
    for name in QUANTITIES:
        candidates = roles.others[name]
        known = name in fields or name in roles.alias or (name == "stress" and roles.virial)
        if getattr(given, name) is None and not known and len(candidates) == 1:
            if not is_virial(candidates[0]):
                proposed[name] = candidates[0]
    return given.model_copy(update=proposed)


def unknown_elements(found: Sequence[int], known: Collection[int]) -> list[str]:
    """Return the symbols of elements that a model does not know."""
    return [chemical_symbols[number] for number in found if number not in known]


def _fields_of(path: Path) -> set[str]:
    """Return the keys of the first frame of a file that ASE reads; none of other files."""
    try:
        frame = ase.io.read(path, index=0)
    except Exception:  # any of its readers; irrepress's own says what is wrong
        return set()
    if not isinstance(frame, ase.Atoms):
        return set()
    results = frame.calc.results if frame.calc is not None else {}
    return {*map(str, frame.info), *frame.arrays, *results} - {"numbers", "positions"}


def _about_keys(given: LabelKeys, taken: LabelKeys) -> Iterator[Finding]:
    for name in QUANTITIES:
        key = getattr(taken, name)
        if key != getattr(given, name):
            mend = f"set keys.{name} if another is meant"
            yield Finding(f"{name} taken from the key {key!r}, for there is no {name!r}", mend)


def _about_summary(summary: DatasetSummary) -> Iterator[Finding]:
    for name, value in overview(summary):
        if name in _TOLD:
            yield Finding(f"{name}: {value}")
    if summary.structures >= MOST_FRAMES:
        yield Finding(f"no more than {MOST_FRAMES:,} frames of every file were looked at")
    if summary.structures < FEW_FRAMES:
        yield Finding(
            f"{summary.structures} frames are few",
            "the model will hold near them only; add frames, or teach it on perturbed copies first "
            "(datasets with source: perturbed, and distillation)",
        )
    if not summary.labelled.get("forces"):
        yield Finding(
            "no forces", "energies alone teach little; set keys.forces if the files have some"
        )
    for note in summary.notes:
        times = f"{note.count:,} times, first in " if note.count > 1 else ""
        yield Finding(f"{note.text} ({times}{note.first})")
    for suspects in summary.suspects:
        worst = suspects.listed[0]
        title = KINDS[suspects.kind].title
        text = f"{title}: {suspects.count:,}, such as structure {worst.index} ({worst.reason})"
        yield Finding(text, _MENDS.get(suspects.kind, _MEND))


def check_labelled(examination: Examination) -> None:
    """Check that there are energies, which a model of one's own system is trained on.

    Raises:
        UserError: if there are none.
    """
    if not examination.summary.labelled.get("energy"):
        (first, *_) = examination.files.paths
        raise UserError(
            f"{first}: no frame has an energy, and the small model is trained on energies and "
            "forces; set keys.energy, or label the frames first"
        )
