"""Scanning a store for its summary.

Memory does not grow with the atoms. For each structure it holds 18 bytes: a key to find
duplicates, an energy and a pressure in single precision, the part, and whether it was flagged.
The search for leaks, after it, holds 130.
"""

from collections.abc import Callable

import numpy as np
from ase.data import chemical_symbols
from ase.units import GPa

from irrepress.core.progress import tracked
from irrepress.data.checks import ALONE
from irrepress.data.energy_fit import EnergyFit
from irrepress.data.leaks import find_leaks
from irrepress.data.store import StructureStore
from irrepress.data.summary import suspects
from irrepress.data.summary.blocks import ELEMENTS, Block, blocks
from irrepress.data.summary.contacts import Contact, close_contacts
from irrepress.data.summary.distributions import LogHistogram, distribution_of
from irrepress.data.summary.duplicates import find_duplicates, structure_keys
from irrepress.data.summary.records import (
    SYSTEMS,
    DatasetSummary,
    ElementCount,
    NoteCount,
    Origin,
    PartCount,
)
from irrepress.data.summary.suspects import PART_NAMES, Suspects, part_codes

_TRAIN = PART_NAMES.index("train")
# A fit gives this to elements that it did not see; see _Energies.
_NO_ENERGY = 1e-6  # eV
# By the number of periodic directions.
_OF_DIRECTIONS = tuple(reversed(SYSTEMS))


def summarize(store: StructureStore, workers: int = 1) -> DatasetSummary:
    """Read a store and summarize it.

    It is read twice, the second time to find leaks; and once more if the store has no
    reference energies: then they are fitted to all energies.

    Args:
        store: any store.
        workers: number of processes that look for leaks.

    Raises:
        UserError: if the file is damaged.
    """
    parts = part_codes(store)
    found = Suspects(store, parts)
    energies = _Energies(store, parts)
    composition = _Composition(parts)
    forces = LogHistogram()
    pressures = np.full(len(store), np.nan, dtype=np.float32)
    keys = np.empty(len(store), dtype=np.uint64)
    name = f"summarizing {store.path.name}"
    structures = tracked(store.iterate(), name, "structures", len(store))
    for block in blocks(structures):
        composition.add(block)
        energies.add(block)
        lengths = np.linalg.norm(block.forces, axis=1)
        forces.add(lengths)
        pressures[block.indices] = -block.stresses[:, :3].mean(axis=1) / GPa
        keys[block.indices] = structure_keys(block)
        _add_forces(found, block, lengths)
        _add_stresses(found, block)
        _add_geometry(found, block)
    energies.report(found)
    _add_duplicates(found, store, keys)
    _add_leaks(found, store, workers)
    return DatasetSummary(
        structures=len(store),
        atoms=int(store.num_atoms.sum()),
        origin=Origin(
            source=store.info.source,
            licence=store.info.licence,
            citation=store.info.citation,
            level_of_theory=store.info.level_of_theory,
            labels=store.info.labels,
            checksum=store.info.checksum,
        ),
        parts=_count_parts(store, parts),
        elements=composition.elements(energies.references),
        compositions=composition.distinct(),
        periodicity=composition.periodicity,
        labelled=dict(store.labelled),
        sizes=distribution_of(store.num_atoms, whole=True),
        energies=distribution_of(energies.residuals),
        forces=forces.distribution(),
        pressures=distribution_of(pressures),
        suspects=found.lists(),
        suspicious=found.structures,
        notes=[NoteCount(**vars(note)) for note in store.info.notes],
    )


class _Composition:
    """Counts elements, distinct compositions and periodic directions."""

    # Number of keys from which on duplicates among them are removed.
    _PENDING = 1 << 18

    def __init__(self, parts: np.ndarray):
        self.periodicity = dict.fromkeys(SYSTEMS, 0)
        self._in_train = parts == _TRAIN
        self._structures = np.zeros(ELEMENTS, dtype=np.int64)
        self._train = np.zeros(ELEMENTS, dtype=np.int64)
        self._atoms = np.zeros(ELEMENTS, dtype=np.int64)
        self._weights = np.random.default_rng(0).integers(0, 2**64, ELEMENTS, dtype=np.uint64)
        self._keys = np.empty(0, dtype=np.uint64)
        self._pending: list[np.ndarray] = []

    def add(self, block: Block) -> None:
        """Count the structures of a block."""
        counts = block.counts
        self._structures += (counts > 0).sum(axis=0)
        self._train += (counts[self._in_train[block.indices]] > 0).sum(axis=0)
        self._atoms += counts.sum(axis=0)
        for directions, number in zip(
            *np.unique(block.pbc.sum(axis=1), return_counts=True), strict=True
        ):
            self.periodicity[_OF_DIRECTIONS[directions]] += int(number)
        reduced = counts // np.gcd.reduce(counts, axis=1)[:, None]
        with np.errstate(over="ignore"):  # a sum modulo 2^64
            self._pending.append(np.unique(reduced.astype(np.uint64) @ self._weights))
        if sum(map(len, self._pending)) > self._PENDING:
            self.distinct()

    def distinct(self) -> int:
        """Return the number of distinct reduced compositions so far."""
        self._keys = np.unique(np.concatenate([self._keys, *self._pending]))
        self._pending = []
        return len(self._keys)

    def elements(self, references: np.ndarray) -> list[ElementCount]:
        """Return the elements that occur."""
        return [
            ElementCount(
                number=number,
                structures=int(self._structures[number]),
                train_structures=int(self._train[number]),
                atoms=int(self._atoms[number]),
                reference_energy=(
                    None if np.isnan(references[number]) else float(references[number])
                ),
            )
            for number in np.flatnonzero(self._structures).tolist()
        ]


class _Energies:
    """Energies per atom relative to the elements' reference energies.

    A fit to the train part gives no energy to elements that only other parts hold; energies of
    structures with such elements mean nothing, and are left out. Whether the train part holds
    an element is known at the end, so the few structures in question are noted.

    An energy that is very wrong draws the fit of its rarest elements along: then right ones may
    be flagged beside it, but it comes first.

    Attributes:
        references: energy of every element in eV, NaN if it is unknown, ``[119]``.
        residuals: in eV/atom, NaN if there is none, ``[structures]`` float32.
    """

    def __init__(self, store: StructureStore, parts: np.ndarray):
        self.references = np.full(ELEMENTS, np.nan)
        for number, energy in (store.info.reference_energies or _fit(store)).items():
            self.references[number] = energy
        self.residuals = np.full(len(store), np.nan, dtype=np.float32)
        self._in_train = parts == _TRAIN
        self._doubtful = np.abs(self.references) < _NO_ENERGY
        self._noted: dict[int, list[np.ndarray]] = {}

    def add(self, block: Block) -> None:
        """Take the energies of a block."""
        present = block.counts > 0
        unknown = present[:, np.isnan(self.references)].any(axis=1)
        known = block.counts @ np.nan_to_num(self.references)
        residuals = (block.energies - known) / block.sizes
        self.residuals[block.indices] = np.where(unknown, np.nan, residuals)
        in_train = self._in_train[block.indices]
        self._doubtful &= ~present[in_train].any(axis=0)
        for number in np.flatnonzero(self._doubtful & present.any(axis=0)).tolist():
            rows = block.indices[present[:, number]]
            self._noted.setdefault(number, []).append(rows)

    def report(self, found: Suspects) -> None:
        """Drop energies that mean nothing and add those that are far from the others."""
        for number in np.flatnonzero(self._doubtful).tolist():
            self.references[number] = np.nan
            for rows in self._noted.get(number, []):
                self.residuals[rows] = np.nan
        values = self.residuals[np.isfinite(self.residuals)]
        if len(values) < suspects.MIN_ENERGIES:
            return
        median = float(np.median(values))
        # For a normal distribution this is its standard deviation.
        deviation = 1.4826 * float(np.median(np.abs(values - median)))
        limit = max(suspects.MAX_DEVIATIONS * deviation, suspects.MIN_ENERGY_LIMIT)
        distances = np.abs(self.residuals - median)
        outliers = np.flatnonzero(distances > limit)

        def describe(place: int) -> tuple[float, str]:
            value = float(self.residuals[outliers[place]])
            side = "above" if value > median else "below"
            return value, f"{abs(value - median):.3g} eV/atom {side} the median"

        found.add("energy", outliers, distances[outliers], describe)


def _fit(store: StructureStore) -> dict[int, float]:
    """Fit reference energies to all energies of a store; empty if there are none."""
    fit = EnergyFit(store.elements)
    if store.labelled["energy"]:
        for block in blocks(store.iterate()):
            fit.add(block.counts[:, fit.elements], block.energies)
    return fit.solve()


def _count_parts(store: StructureStore, parts: np.ndarray) -> list[PartCount]:
    structures = np.bincount(parts, minlength=len(PART_NAMES))
    atoms = np.bincount(parts, weights=store.num_atoms, minlength=len(PART_NAMES))
    return [
        PartCount(part=part, structures=int(structures[code]), atoms=int(atoms[code]))
        for code, part in enumerate(PART_NAMES)
        if part != "none" or structures[code]
    ]


def _add_forces(found: Suspects, block: Block, lengths: np.ndarray) -> None:
    largest = np.maximum.reduceat(np.nan_to_num(lengths), block.starts)
    rows = np.flatnonzero(largest > suspects.MAX_FORCE)

    def describe(place: int) -> tuple[float, str]:
        row = rows[place]
        own = slice(block.starts[row], block.starts[row] + block.sizes[row])
        atom = int(np.nanargmax(lengths[own]))
        symbol = chemical_symbols[block.numbers[own][atom]]
        value = float(largest[row])
        return value, f"{value:.4g} eV/Å on atom {atom} ({symbol})"

    found.add("force", block.indices[rows], largest[rows], describe)


def _add_stresses(found: Suspects, block: Block) -> None:
    largest = np.nan_to_num(np.abs(block.stresses)).max(axis=1) / GPa
    rows = np.flatnonzero(largest > suspects.MAX_STRESS)

    def describe(place: int) -> tuple[float, str]:
        value = float(largest[rows[place]])
        return value, f"a component of {value:.4g} GPa"

    found.add("stress", block.indices[rows], largest[rows], describe)


def _add_geometry(found: Suspects, block: Block) -> None:
    thinnest = block.heights.min(axis=1)
    single = np.flatnonzero((block.sizes == 1) & (thinnest > ALONE))
    found.add(
        "single",
        block.indices[single],
        np.zeros(len(single)),
        lambda place: (
            1.0,
            f"{chemical_symbols[block.numbers[block.starts[single[place]]]]} alone",
        ),
    )
    flat = np.flatnonzero(thinnest < suspects.MIN_HEIGHT)
    found.add(
        "flat",
        block.indices[flat],
        -thinnest[flat],
        lambda place: (
            float(thinnest[flat[place]]),
            f"opposite faces {thinnest[flat[place]]:.3g} Å apart",
        ),
    )
    contacts = list(close_contacts(block, suspects.MIN_SHARE))
    found.add(
        "distance",
        np.array([c.index for c in contacts], dtype=np.int64),
        np.array([-c.share for c in contacts]),
        lambda place: (contacts[place].distance, _describe_contact(contacts[place], block)),
    )


def _describe_contact(contact: Contact, block: Block) -> str:
    start = block.starts[contact.index - block.first]
    one, other = (
        f"{atom} ({chemical_symbols[block.numbers[start + atom]]})"
        for atom in (contact.first, contact.second)
    )
    who = f"atoms {one} and {other}" if one != other else f"atom {one} and its image"
    return (
        f"{who} {contact.distance:.3g} Å apart, {contact.share:.2f} of the sum of their "
        "covalent radii"
    )


def _add_duplicates(found: Suspects, store: StructureStore, keys: np.ndarray) -> None:
    parts = part_codes(store)
    for duplicate in find_duplicates(store, keys, suspects.SAME_POSITION):
        part = PART_NAMES[parts[duplicate.original]]
        leaks = parts[duplicate.index] != parts[duplicate.original]
        reason = f"the atoms of structure {duplicate.original} ({part})"
        if (difference := duplicate.energy_difference) > 1e-6:
            reason += f"; energies differ by {1e3 * difference:.3g} meV/atom"
        found.add(
            "duplicate",
            np.array([duplicate.index]),
            # Worst are those that lie in two parts, then those with different labels.
            np.array([1e6 * leaks + np.nan_to_num(difference)]),
            _always(float(duplicate.original), reason),
        )


def _add_leaks(found: Suspects, store: StructureStore, workers: int) -> None:
    for leak in find_leaks(store, suspects.NEARLY_SAME_POSITION, workers):
        reason = f"the positions of structure {leak.other} ({leak.other_part})"
        found.add(
            "leak",
            np.array([leak.index]),
            np.array([-leak.difference]),
            _always(leak.difference, reason),
        )


def _always(value: float, reason: str) -> Callable[[int], tuple[float, str]]:
    """Return what says the same of every structure."""
    return lambda _: (value, reason)
