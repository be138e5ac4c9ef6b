"""Structures drawn one by one from those of a dataset, to be labelled by a model."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from irrepress.core.errors import UserError
from irrepress.core.structure import Structure
from irrepress.data.config import Split
from irrepress.data.geometry import closeness, overlapping
from irrepress.data.sources.config import Drawn
from irrepress.data.sources.parents import spread, usable_parents
from irrepress.data.splits import PARTS
from irrepress.data.store import StructureStore

logger = logging.getLogger(__name__)

Settings = TypeVar("Settings", bound=Drawn)
Kind = TypeVar("Kind")

# Structures are redrawn while atoms come closer than this fraction of the smallest distance in the
# parent; distances are relative to covalent radii.
_CLOSEST = 0.6
# Draws of one structure, each with smaller amplitudes.
_DRAWS = 60
_WEAKER = 0.9


@dataclass(frozen=True)
class Turn:
    """The place of a structure among those that are drawn.

    Attributes:
        parent: which parent it is drawn from, counted from 0.
        index: how many were drawn from it before.
        total: how many are drawn from it in all.

    Example:
        >>> [Turn(parent=1, index=index, total=3).among(["a", "b"]) for index in range(3)]
        [('b', 0, 2), ('a', 0, 1), ('b', 1, 2)]
    """

    parent: int
    index: int
    total: int

    def among(self, kinds: Sequence[Kind]) -> tuple[Kind, int, int]:
        """Return the kind whose turn it is, how many of it came before, and how many in all.

        Kinds take turns, and parents begin with different ones.
        """
        place = (self.index + self.parent) % len(kinds)
        first = (place - self.parent) % len(kinds)
        step = (self.index - first) // len(kinds)
        return kinds[place], step, (self.total - first - 1) // len(kinds) + 1


class Drawing(ABC, Generic[Settings]):
    """Unlabelled structures drawn from those of a store, which take turns.

    A structure with overlapping atoms is redrawn, with smaller amplitudes. All structures drawn
    from one parent share a group. The same settings give the same structures.

    Args:
        store: the dataset to draw from; see `irrepress.data.sources.parents.usable_parents`.
        config: settings.
        name: name of the dataset that is made, for messages.

    Attributes:
        split: how structures are divided; one by one if there are fewer parents than splits.
        redrawn: number of draws with overlapping atoms so far.

    Raises:
        UserError: if there is no structure to draw from.

    Example:
        >>> from irrepress.catalogue.model_ref import ModelRef
        >>> from irrepress.data.dynamics import supercell
        >>> class Rattled(Drawing[Drawn]):
        ...     what = "rattled structures"
        ...
        ...     def draw(self, parent, turn, amplitude, rng):
        ...         return supercell(parent, self.config.atoms)
        >>> labels = ModelRef(family="sevennet", checkpoint="7net-0")
        >>> config = Drawn(of="silicon", count=6, atoms=16, labels=labels)
        >>> print(Rattled(store, config, "rattled"))
        6 rattled structures from 3 structures
    """

    # What is drawn, for messages.
    what: str

    def __init__(self, store: StructureStore, config: Settings, name: str):
        self.store, self.config, self.name = store, config, name
        usable = usable_parents(store, config.of, name)
        suitable = [index for index in usable if self.is_suitable(store[index])]
        if len(suitable) < len(usable):
            logger.warning(
                "%s: %d of %d structures of %s are left out: %s",
                name,
                len(usable) - len(suitable),
                len(usable),
                config.of,
                self.unsuitable,
            )
        if not suitable:
            raise UserError(f"datasets.{name}: no structure of {config.of} is left: give others")
        self.parents = spread(np.array(suitable), config.count)
        self.redrawn = 0
        self.split = self._checked_split()

    # Why structures are left out, for messages.
    unsuitable = "they have no periodic direction"

    def is_suitable(self, structure: Structure) -> bool:
        """Return whether something can be drawn from a structure."""
        return True

    def closest(self, parent: Structure) -> float:
        """Return how close atoms may be, relative to the sum of their covalent radii."""
        return _CLOSEST * min(1.0, closeness(parent.to_atoms()))

    @abstractmethod
    def draw(
        self, parent: Structure, turn: Turn, amplitude: float, rng: np.random.Generator
    ) -> Atoms | None:
        """Draw one structure.

        Args:
            parent: the structure to draw from.
            turn: its place among those that are drawn.
            amplitude: factor for all amplitudes that avoids overlaps, at most 1.
            rng: for everything random.

        Returns:
            The structure, before it is rattled; None if this draw failed.
        """

    def settle(
        self, atoms: Atoms, turn: Turn, deviation: float, rng: np.random.Generator
    ) -> Atoms | None:
        """Return what becomes of a structure after it was rattled; by default nothing changes.

        Args:
            atoms: the structure.
            turn: its place among those that are drawn.
            deviation: standard deviation in Å by which it was rattled.
            rng: for everything random.

        Returns:
            The structure; None if this draw failed.
        """
        return atoms

    def __len__(self) -> int:
        return self.config.count

    def __str__(self) -> str:
        """Return a summary of what is drawn."""
        return f"{len(self):,} {self.what} from {len(self.parents):,} structures"

    def __iter__(self) -> Iterator[Structure]:
        self.redrawn = 0
        parents = len(self.parents)
        for index in range(len(self)):
            before, place = divmod(index, parents)
            number = int(self.parents[place])
            parent = self.store[number].without_labels()
            turn = Turn(place, before, (len(self) - place - 1) // parents + 1)
            group = parent.group or f"{self.config.of}/{number}"
            yield replace(self._draw(parent, number, turn), group=group)
        if self.redrawn:
            logger.info(
                "%s: %d draws had overlapping atoms and were redrawn", self.name, self.redrawn
            )

    def _draw(self, parent: Structure, number: int, turn: Turn) -> Structure:
        rng = np.random.default_rng([self.config.seed, number, turn.index])
        closest = self.closest(parent)
        for attempt in range(_DRAWS):
            amplitude = _WEAKER**attempt
            atoms = self.draw(parent, turn, amplitude, rng)
            if atoms is not None:
                deviation = self.config.rattle * amplitude * rng.uniform()
                atoms.positions += rng.normal(scale=deviation, size=(len(atoms), 3))
                atoms = self.settle(atoms, turn, deviation, rng)
            if atoms is not None and not overlapping(atoms, closest):
                return Structure.unlabelled(atoms)
            self.redrawn += 1
        raise UserError(
            f"datasets.{self.name}: structure {number} of {self.config.of} gave no structure "
            f"without overlapping atoms in {_DRAWS} draws; leave it out, or lower the amplitudes"
        )

    def _checked_split(self) -> Split:
        """Return the split of the config, unless there are too few groups for it."""
        split = self.config.split
        parts = [part for part in PARTS if getattr(split, part) > 0]
        if self.config.count < len(parts):
            raise UserError(
                f"datasets.{self.name}.count: {self.config.count} structures are too few for the "
                f"splits {', '.join(parts)}; raise it, or set the fraction of a split to 0"
            )
        if split.by == "group" and len(self.parents) < len(parts):
            logger.warning(
                "%s: %d parents are too few to keep what is drawn from each in one split (split.by:"
                " group), so structures are divided one by one",
                self.name,
                len(self.parents),
            )
            return split.model_copy(update={"by": "structure"})
        return split


class GuidedDrawing(Drawing[Settings]):
    """Structures that the labelling model has a say in; see the base class.

    Args:
        store: see the base class.
        config: see the base class.
        name: see the base class.
        calculator: computes the labelling model's forces.

    Example:
        >>> issubclass(GuidedDrawing, Drawing)
        True
    """

    def __init__(self, store: StructureStore, config: Settings, name: str, calculator: Calculator):
        super().__init__(store, config, name)
        self.calculator = calculator
