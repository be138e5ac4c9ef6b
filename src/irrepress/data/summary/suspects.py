"""Limits beyond which structures are suspicious, and lists of the worst ones.

All limits are defined here. They were set so that hardly anything is flagged in published datasets:
of 700 random MPtrj frames two for their forces and two for their energies, and none in
700 of Alexandria, ten molecules of rMD17, 3BPA, silicon, germanium, lithium and Ge-Sb-Te.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from irrepress.data.checks import ALONE
from irrepress.data.store import StructureStore
from irrepress.data.summary.records import PartName, Suspect, SuspectList

# Stretching breaks a carbon-carbon bond at about 5 eV/Å; only atoms pushed into each other feel
# this much. MD of molecules stays below 15, 697 of 700 random MPtrj frames below 30.
MAX_FORCE = 50.0  # eV/Å
# The highest component of the same frames is 88 GPa.
MAX_STRESS = 100.0  # GPa
# The closest atoms of the same frames have 0.59 of the sum of their covalent radii; N2 and CO
# have 0.77.
MIN_SHARE = 0.5
# Nothing is packed closer than diamond, with 2.06 Å between opposite faces of its cell.
MIN_HEIGHT = 1.5  # Å
# How far an energy per atom may lie from the median, in standard deviations as estimated from
# the median absolute deviation. Distributions over many elements have heavier tails than
# normal ones: MPtrj reaches 11 now and then, molecules and single crystals stay below 8.
MAX_DEVIATIONS = 12.0
# Heat gives an atom 3/2 kT, at 1500 K this much: less is no mistake, however narrow the rest.
MIN_ENERGY_LIMIT = 0.2  # eV/atom
# Least number of energies whose spread is known.
MIN_ENERGIES = 20
# Rounding in files and of units; thermal motion moves atoms by 1e-2 Å.
SAME_POSITION = 1e-6  # Å
# Rounding to two decimals moves an atom by this much. Frames of molecular dynamics are further
# apart within a few femtoseconds; strained copies of cells of two atoms can come near it by chance.
NEARLY_SAME_POSITION = 0.005  # Å

# Largest number of structures listed for each kind, so that the summary stays small.
LISTED = 50

PART_NAMES: tuple[PartName, ...] = ("train", "valid", "test", "none")


@dataclass(frozen=True)
class Kind:
    """A kind of suspicious structures.

    Attributes:
        title: its name, a singular noun.
        unit: unit of the values.
        meaning: what makes a structure one of this kind, a phrase.

    Example:
        >>> KINDS["force"].title, KINDS["force"].unit
        ('exploding force', 'eV/Å')
    """

    title: str
    unit: str
    meaning: str


KINDS = {
    "force": Kind("exploding force", "eV/Å", f"a force above {MAX_FORCE:g} eV/Å"),
    "energy": Kind(
        "energy outlier",
        "eV/atom",
        "an energy per atom, less the elements' reference energies, more than "
        f"{MAX_DEVIATIONS:g} robust standard deviations and {MIN_ENERGY_LIMIT:g} eV/atom from the "
        "median",
    ),
    "stress": Kind("huge stress", "GPa", f"a stress component above {MAX_STRESS:g} GPa"),
    "distance": Kind(
        "atoms too close",
        "Å",
        f"two atoms closer than {MIN_SHARE:g} of the sum of their covalent radii",
    ),
    "duplicate": Kind(
        "duplicate",
        "structure",
        "the same elements, positions and cell as an earlier structure, within "
        f"{SAME_POSITION:f} Å",
    ),
    "leak": Kind(
        "leak",
        "Å",
        "the atoms of a structure in an earlier part (of train, or valid if it is in test), moved "
        f"by {NEARLY_SAME_POSITION:g} Å at most, whatever their order, orientation and cell",
    ),
    "single": Kind(
        "single atom",
        "atoms",
        f"one atom without periodic boundaries, or more than {ALONE:g} Å from its images, which is "
        "not marked as an isolated atom (config_type=IsolatedAtom)",
    ),
    "flat": Kind(
        "flat cell", "Å", f"opposite faces of a periodic cell less than {MIN_HEIGHT:g} Å apart"
    ),
}


@dataclass
class _Found:
    """A suspicious structure; the smaller its key, the worse it is."""

    severity: float
    index: int
    value: float = 0.0
    reason: str = ""

    @property
    def key(self) -> tuple[float, int]:
        return self.severity, self.index


class Suspects:
    """Collects suspicious structures: counts all and keeps the worst of each kind.

    Args:
        store: the dataset that they belong to.
        parts: part of every structure, index into `PART_NAMES`, ``[structures]`` int8.

    Example:
        >>> suspects = Suspects(store, part_codes(store))
        >>> suspects.add("force", np.array([2]), np.array([80.0]), lambda place: (80.0, "80 eV/Å"))
        >>> suspects.structures, suspects.lists()[0].listed[0].part
        (1, 'valid')
    """

    def __init__(self, store: StructureStore, parts: np.ndarray):
        self._store = store
        self._parts = parts
        self._counts = dict.fromkeys(KINDS, 0)
        self._worst: dict[str, list[_Found]] = {kind: [] for kind in KINDS}
        self._flagged = np.zeros(len(store), dtype=bool)

    def add(
        self,
        kind: str,
        indices: np.ndarray,
        severities: np.ndarray,
        describe: Callable[[int], tuple[float, str]],
    ) -> None:
        """Add structures.

        Args:
            kind: a key of `KINDS`.
            indices: their places in the store, ``[found]``.
            severities: the greater, the worse, ``[found]``.
            describe: returns the value and the reason for the structure at a place of
                ``indices``; called for the worst ones only.
        """
        self._counts[kind] += len(indices)
        self._flagged[indices] = True
        for place in np.lexsort((indices, -severities))[:LISTED].tolist():
            found = _Found(-float(severities[place]), int(indices[place]))
            kept = self._worst[kind]
            if len(kept) < LISTED or found.key < kept[-1].key:
                found.value, found.reason = describe(place)
                self._worst[kind] = sorted([*kept, found], key=lambda f: f.key)[:LISTED]

    @property
    def structures(self) -> int:
        """Number of structures that look wrong in at least one way."""
        return int(self._flagged.sum())

    def lists(self) -> list[SuspectList]:
        """Return what was found, kind by kind."""
        return [
            SuspectList(
                kind=kind, count=count, listed=[self._suspect(f) for f in self._worst[kind]]
            )
            for kind, count in self._counts.items()
            if count
        ]

    def _suspect(self, found: _Found) -> Suspect:
        return Suspect(
            index=found.index,
            part=PART_NAMES[self._parts[found.index]],
            group=self._store[found.index].group,
            value=found.value,
            reason=found.reason,
        )


def part_codes(store: StructureStore) -> np.ndarray:
    """Return the part of every structure, index into `PART_NAMES`, ``[structures]`` int8."""
    codes = np.full(len(store), PART_NAMES.index("none"), dtype=np.int8)
    for part, indices in store.splits.items():
        codes[indices] = PART_NAMES.index(part)
    return codes
