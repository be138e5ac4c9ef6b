"""Strained and rattled copies of a dataset's structures, to be labelled by a model."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from irrepress.core.errors import UserError
from irrepress.core.structure import Structure
from irrepress.data.geometry import closeness, overlapping
from irrepress.data.sources.config import Perturbed
from irrepress.data.sources.strain import draw_strain, periodic_directions
from irrepress.data.store import StructureStore

# The splits to copy; copies of test structures would bias the test.
_PARTS = ("train", "valid")
# Copies are redrawn if atoms come closer than this fraction of the smallest distance in the
# structure; distances are relative to covalent radii.
_CLOSEST = 0.7
# Factor applied to the amplitudes when a copy is redrawn.
_WEAKER = 0.9


class Perturbations:
    """Unlabelled perturbed copies of the train and valid structures of a store.

    The copies of a structure are consecutive, after the structure itself if it is kept. They are
    made during iteration, a few at a time; the same settings give the same structures.

    Args:
        store: the dataset to perturb.
        config: number of copies and amplitudes.

    Attributes:
        splits: split -> int64 indices of the copies; a copy is in the split of its structure.

    Raises:
        UserError: if the train split is empty or no structure is small enough.

    Example:
        >>> from irrepress.catalogue.model_ref import ModelRef
        >>> labels = ModelRef(family="sevennet", checkpoint="7net-0")
        >>> config = Perturbed(source="perturbed", of="silicon", count=6, labels=labels)
        >>> print(Perturbations(store, config))
        6 perturbed copies of 3 structures, and all 3 unperturbed structures (keep_unperturbed): 9
    """

    splits: dict[str, np.ndarray]

    def __init__(self, store: StructureStore, config: Perturbed):
        self.store = store
        self.config = config
        store.require("train")
        members = {part: self._small_enough(part) for part in _PARTS}
        indices = np.concatenate(list(members.values()))
        order = np.argsort(indices)
        self._indices = indices[order]
        self._copies = np.concatenate(_shared_out(config.count, list(members.values())))[order]
        sizes = self._copies + config.keep_unperturbed
        part_of = np.repeat(_PARTS, [len(members[part]) for part in _PARTS])[order]
        part_of_copy = np.repeat(part_of, sizes)
        self.splits = {part: np.flatnonzero(part_of_copy == part) for part in _PARTS}

    def __len__(self) -> int:
        return sum(map(len, self.splits.values()))

    def __str__(self) -> str:
        """Return a summary: ``24 perturbed copies of 12 structures``."""
        copies = int(self._copies.sum())
        text = f"{copies:,} perturbed copies of {int((self._copies > 0).sum()):,} structures"
        if self.config.keep_unperturbed:
            own = len(self._indices)
            text += f", and all {own:,} unperturbed structures (keep_unperturbed): {len(self):,}"
        return text

    def __iter__(self) -> Iterator[Structure]:
        used = self._copies + self.config.keep_unperturbed > 0
        indices, copies = self._indices[used], self._copies[used]
        structures = self.store.iterate(indices)
        for index, count, structure in zip(indices, copies, structures, strict=True):
            group = structure.group or f"{self.config.of}/{index}"
            structure = replace(structure.without_labels(), group=group)
            if self.config.keep_unperturbed:
                yield structure
            closest = _CLOSEST * closeness(structure.to_atoms())
            for copy in range(count):
                rng = np.random.default_rng([self.config.seed, index, copy])
                yield _perturbed(structure, self.config, closest, rng)

    def _small_enough(self, part: str) -> np.ndarray:
        indices, most = self.store.splits[part], self.config.max_atoms
        if most is None or not len(indices):
            return indices
        sizes = self.store.num_atoms[indices]
        if most < sizes.min():
            raise UserError(
                f"max_atoms: every structure in the {part} split of {self.store.path} has more "
                f"than {most} atoms, the smallest {sizes.min()}; raise max_atoms, or remove it"
            )
        return indices[sizes <= most]


def _shared_out(count: int, members: list[np.ndarray]) -> list[np.ndarray]:
    """Return the number of copies of each train and valid structure, ``count`` in total."""
    train, valid = map(len, members)
    for_valid = min(max(round(count * valid / (train + valid)), 1), count - 1) if valid else 0
    shares = (count - for_valid, train), (for_valid, valid)
    # If there are fewer copies than structures, they are spread evenly.
    return [np.diff(np.arange(n + 1) * total // max(n, 1)) for total, n in shares]


def _perturbed(
    structure: Structure, config: Perturbed, closest: float, rng: np.random.Generator
) -> Structure:
    """Return a copy that is strained and rattled with random amplitudes up to the config's."""
    rattle, strain = config.rattle * rng.uniform(), config.strain * rng.uniform()
    directions = periodic_directions(structure)
    while True:
        deformation = np.eye(3) + draw_strain(directions, strain, rng)
        displacements = rng.normal(scale=rattle, size=(len(structure), 3))
        copy = replace(
            structure,
            cell=structure.cell @ deformation,
            positions=structure.positions @ deformation + displacements,
        )
        # As the amplitudes approach zero, the copy approaches the structure and passes.
        if not overlapping(copy.to_atoms(), closest):
            return copy
        rattle, strain = rattle * _WEAKER, strain * _WEAKER
