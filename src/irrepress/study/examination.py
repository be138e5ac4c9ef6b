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
import numpy as np
from ase.data import chemical_symbols

from irrepress.core.errors import UserError
from irrepress.core.quantities import QUANTITIES
from irrepress.core.structure import Structure
from irrepress.data.config import Files, LabelKeys, Split
from irrepress.data.convert import store_files
from irrepress.data.dynamics import supercell
from irrepress.data.formats.keys import is_virial, roles_of
from irrepress.data.paths import locate
from irrepress.data.splits import TooFewToSplit
from irrepress.data.store import StructureStore
from irrepress.data.summary.printing import overview
from irrepress.data.summary.records import DatasetSummary
from irrepress.data.summary.scan import summarize
from irrepress.data.summary.suspects import KINDS

# Frames that are read of every file: enough to know a dataset by, in seconds.
MOST_FRAMES = 2000
# Fewer frames hardly teach more than what they show.
FEW_FRAMES = 50
# Structures are repeated to at least so many atoms before dynamics; more than these many are slow.
DYNAMICS_ATOMS, _MANY_ATOMS = 64, 200
# Å. A periodic direction with so long a gap is one of a molecule, wire or slab with empty space.
_GAP = 7.0
# Parts of an overview that are told of any dataset.
_TOLD = ("structures", "systems", "parts", "labelled", "elements")
_TOLD_OF_STRUCTURES = ("structures", "systems", "elements")
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
        largest_supercell: number of atoms of the largest structure once all are repeated to at
            least `DYNAMICS_ATOMS`.

    Example:
        >>> from irrepress.data.summary.scan import summarize
        >>> examination = Examination(config.datasets["silicon"], summarize(store), [], 64)
        >>> examination.elements, examination.largest
        ([14], 2)
    """

    files: Files
    summary: DatasetSummary
    findings: Sequence[Finding]
    largest_supercell: int

    @property
    def has_labels(self) -> bool:
        """Whether any structure has a label that is read."""
        return any(self.summary.labelled.values())

    @property
    def elements(self) -> list[int]:
        """The atomic numbers of their elements, sorted."""
        return [element.number for element in self.summary.elements]

    @property
    def are_periodic(self) -> bool:
        """Whether all structures are periodic in at least one direction."""
        return not self.summary.periodicity.get("0")

    @property
    def largest(self) -> int:
        """Number of atoms of the largest structure."""
        return int(self.summary.sizes.maximum)


def examine(files: Files) -> Examination:
    """Read files as a study does, and say what they hold.

    Files without any labels come back as such (``labels: false``).

    Args:
        files: how a config names them; at most `MOST_FRAMES` frames of every file are read.

    Raises:
        UserError: if a file is missing, empty, of an unknown format, or what may be labels stands
            under keys that are not known; or if a structure without labels is a single atom.
    """
    keys = files.keys if files.labels is False else proposed_keys(files)
    found = files.model_copy(update={"keys": keys})
    with tempfile.TemporaryDirectory() as folder:
        store = _read(found, Path(folder) / "frames.h5")
        summary = summarize(store)
        if not any(summary.labelled.values()):
            found = found.model_copy(update={"labels": False})
        if found.labels is False:
            _check_that_atoms_can_move(store, files)
        supercells = _supercells(store) if found.labels is False else [0]
        empty = list(_about_empty_space(store)) if found.labels is False else []
    findings = [*_about_keys(files.keys, keys), *_about_summary(summary)]
    if found.labels is False:
        findings += [*_about_structures(summary, supercells), *empty]
    return Examination(found, summary, findings, max(supercells))


def _read(files: Files, path: Path) -> StructureStore:
    limit = MOST_FRAMES if files.limit is None else min(files.limit, MOST_FRAMES)
    limited = files.model_copy(update={"limit": limit})
    logging.disable(logging.WARNING)  # what the reader warns of is among the findings
    try:
        store_files(path, limited, unlabelled=True)
    except TooFewToSplit:
        whole = Split(train=1, valid=0, test=0)
        store_files(path, limited.model_copy(update={"split": whole}), unlabelled=True)
        if any(StructureStore(path).labelled.values()):
            raise  # they are to be trained on
    finally:
        logging.disable(logging.NOTSET)
    return StructureStore(path)


def _check_that_atoms_can_move(store: StructureStore, files: Files) -> None:
    for index, structure in enumerate(store.iterate()):
        if len(structure) == 1 and not structure.pbc.any():
            raise UserError(
                f"{', '.join(files.paths)}: structure {index} is a single atom, on which no force "
                "ever acts, so that there is nothing to learn from it; leave it out"
            )


def _supercells(store: StructureStore) -> list[int]:
    """Return the number of atoms of every structure, repeated as dynamics repeat it."""
    return [len(supercell(each, DYNAMICS_ATOMS)) for each in store.iterate()]


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
    if ".cif" in path.suffixes:
        return set()  # which has no labels, and takes long to read
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
    labelled = any(summary.labelled.values())
    for name, value in overview(summary):
        if name in (_TOLD if labelled else _TOLD_OF_STRUCTURES):
            yield Finding(f"{name}: {value}")
    if summary.structures >= MOST_FRAMES:
        yield Finding(f"no more than {MOST_FRAMES:,} frames of every file were looked at")
    if labelled and summary.structures < FEW_FRAMES:
        yield Finding(
            f"{summary.structures} frames are few",
            "the model will hold near them only; add frames, or let the large model label dynamics "
            "from them, too (--labels with these files, beside the same files as structures)",
        )
    if labelled and not summary.labelled.get("forces"):
        yield Finding(
            "no forces", "energies alone teach little; set keys.forces if the files have some"
        )
    for note in summary.notes:
        times = f"{note.count:,} times, first in " if note.count > 1 else ""
        yield Finding(f"{note.text} ({times}{note.first})")
    for suspects in summary.suspects:
        if not labelled and suspects.kind == "duplicate":
            continue  # a trajectory may rest
        worst = suspects.listed[0]
        title = KINDS[suspects.kind].title
        text = f"{title}: {suspects.count:,}, such as structure {worst.index} ({worst.reason})"
        yield Finding(text, _MENDS.get(suspects.kind, _MEND))


def _about_structures(summary: DatasetSummary, supercells: Sequence[int]) -> Iterator[Finding]:
    yield Finding(
        "no labels are read: the large model labels what the small one learns from, and errors are "
        "measured against it, not against first principles",
        "a few first-principles frames besides (--labels) bring the small one nearer to these",
    )
    smallest, largest = int(summary.sizes.minimum), int(summary.sizes.maximum)
    if smallest < DYNAMICS_ATOMS and max(supercells) > smallest:
        sizes = f"{smallest}" if smallest == largest else f"{smallest} to {largest}"
        noun = "atom is" if largest == 1 else "atoms are"
        least, most = min(supercells), max(supercells)
        built = f"{most}" if least == most else f"{least} to {most}"
        yield Finding(
            f"{sizes} {noun} repeated to supercells of {built} for dynamics, where atoms of a "
            "small cell would move with their own images"
        )
    if max(supercells) > _MANY_ATOMS:
        yield Finding(
            f"{max(supercells):,} atoms are many for dynamics of the large model",
            "a smaller cell of the same material is sampled faster and teaches as much",
        )


def _about_empty_space(store: StructureStore) -> Iterator[Finding]:
    """Yield a finding on the first structure that is periodic across empty space."""
    for index, structure in enumerate(store.iterate()):
        gaps = gaps_of(structure)
        if (axes := [axis for axis in range(3) if gaps[axis] > _GAP]) == []:
            continue
        directions = ", ".join("abc"[axis] for axis in axes)
        kind = ("a slab", "a wire", "a molecule")[len(axes) - 1]
        yield Finding(
            f"structure {index} is periodic across empty space (up to {max(gaps):.0f} Å along "
            f"{directions}): {kind} in a box, which is repeated and strained like a crystal",
            f'leave periodicity along {directions} out, as by pbc="F F F" of extxyz for a molecule',
        )
        return


def gaps_of(structure: Structure) -> list[float]:
    """Return the longest gap without atoms along each lattice vector, across the planes, in Å.

    It is 0 along a direction that is not periodic.

    Example:
        >>> from ase.build import bulk
        >>> from irrepress.core.structure import Structure
        >>> [round(gap, 2) for gap in gaps_of(Structure.unlabelled(bulk("Po", "sc", a=3.35)))]
        [3.35, 3.35, 3.35]
    """
    atoms = structure.to_atoms()
    found = []
    for axis in range(3):
        if not atoms.pbc[axis]:
            found.append(0.0)
            continue
        height = 1 / np.linalg.norm(atoms.cell.reciprocal()[axis])
        places = np.sort(atoms.cell.scaled_positions(atoms.positions)[:, axis] % 1)
        found.append(float(height * np.diff(places, append=places[0] + 1).max()))
    return found


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


def check_alike(labels: Examination, structures: Examination) -> None:
    """Check that labelled frames are of the elements of the structures.

    Raises:
        UserError: if structures have elements that no labelled frame has.
    """
    lacking = [e for e in structures.elements if e not in labels.elements]
    if lacking:
        have, lack = (
            ", ".join(chemical_symbols[number] for number in numbers)
            for numbers in (labels.elements, lacking)
        )
        raise UserError(
            f"--labels {labels.files.paths[0]}: its frames have {have}, and none has {lack} of "
            f"{structures.files.paths[0]}; give frames of the same system, which the small model "
            "is fine-tuned on in the end"
        )
