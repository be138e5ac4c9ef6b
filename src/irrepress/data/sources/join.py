"""One dataset of several whose labels come from the same model or level of theory."""

import logging
from collections.abc import Iterator, Sequence

import numpy as np
from ase.data import chemical_symbols

from irrepress.core.errors import UserError
from irrepress.core.structure import Structure
from irrepress.data.convert import joint_checksum
from irrepress.data.layout import StoreInfo
from irrepress.data.notes import Notes
from irrepress.data.sources.config import Joined
from irrepress.data.splits import PARTS
from irrepress.data.store import StructureStore

logger = logging.getLogger(__name__)

# Larger differences between reference energies of an element show another level of theory.
_SAME_ENERGY = 1e-3  # eV


class Joining:
    """The structures of several stores, in their order; each stays in its split.

    Structures that are in no split, of their own store or because of ``counts``, are left out.

    Args:
        stores: the stores, in order.
        config: maximum sizes of the splits; None: no limits.
        parts: the splits to join.

    Attributes:
        splits: split -> int64 indices of the joined structures.

    Raises:
        UserError: if the labels of two stores differ, or there is nothing to join.

    Example:
        >>> config = Joined(source="joined", of=["first", "second"])
        >>> joining = Joining([store, store], config)
        >>> len(joining), joining.splits["test"].tolist()
        (8, [3, 7])
    """

    splits: dict[str, np.ndarray]

    def __init__(
        self,
        stores: Sequence[StructureStore],
        config: Joined | None = None,
        parts: Sequence[str] = PARTS,
    ):
        self.stores = stores
        self.config = config
        first = stores[0].info
        for store in stores[1:]:
            if store.info.labels != first.labels:
                raise UserError(
                    f"{store.path} has labels of {store.info.labels}, but {stores[0].path} of "
                    f"{first.labels}; join datasets whose labels are of one kind"
                )
        ends = np.cumsum([0, *map(len, stores)])
        chosen = {part: self._chosen(part, ends) for part in parts}
        self._indices = np.sort(np.concatenate(list(chosen.values())))
        if not len(self._indices):
            raise UserError(f"{stores[0].path} and others: all splits are empty; nothing to join")
        self.splits = {p: np.searchsorted(self._indices, found) for p, found in chosen.items()}
        self._ends = ends

    def __len__(self) -> int:
        return len(self._indices)

    def __str__(self) -> str:
        """Return a summary: ``12 structures of 2 datasets (8 train, 2 valid, 2 test)``."""
        parts = ", ".join(f"{len(found):,} {part}" for part, found in self.splits.items())
        left_out = int(self._ends[-1]) - len(self)
        rest = f"; {left_out:,} are in no split and left out" if left_out else ""
        return f"{len(self):,} structures of {len(self.stores)} datasets ({parts}){rest}"

    def __iter__(self) -> Iterator[Structure]:
        for store, begin, end in zip(self.stores, self._ends[:-1], self._ends[1:], strict=True):
            own = self._indices[(self._indices >= begin) & (self._indices < end)] - begin
            yield from store.iterate(own)

    def info(self) -> StoreInfo:
        """Return the joint origin: each licence and citation once, notes counted together."""
        infos = [store.info for store in self.stores]
        notes = Notes()
        for each in infos:
            for note in each.notes:
                notes.add(note.text, note.first, note.count)
        return StoreInfo(
            source="; ".join(_once(each.source for each in infos)),
            licence="; ".join(_once(each.licence for each in infos)),
            citation="; ".join(_once(each.citation for each in infos)),
            level_of_theory=infos[0].level_of_theory,
            labels=infos[0].labels,
            checksum=joint_checksum([each.checksum for each in infos]),
            reference_energies=_joint_references(infos),
            notes=tuple(notes),
        )

    def _chosen(self, part: str, ends: np.ndarray) -> np.ndarray:
        found = [store.splits[part] + end for store, end in zip(self.stores, ends, strict=False)]
        members = np.concatenate(found)
        most = getattr(self.config.counts, part, None) if self.config else None
        if self.config is None or most is None or len(members) <= most:
            return members
        rng = np.random.default_rng(self.config.seed)
        return np.sort(rng.choice(members, most, replace=False))


def _once(texts: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))


def _joint_references(infos: Sequence[StoreInfo]) -> dict[int, float]:
    """Return the reference energies, or none, so that they are fitted, if two contradict."""
    joint: dict[int, float] = {}
    for info in infos:
        for number, energy in info.reference_energies.items():
            if abs(joint.setdefault(number, energy) - energy) > _SAME_ENERGY:
                logger.info(
                    "reference energies of %s differ, as fits do; they are fitted to all",
                    chemical_symbols[number],
                )
                return {}
    return joint
