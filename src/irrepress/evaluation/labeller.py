"""Labels of structures by a model, each made once and kept."""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from irrepress.core.batching import in_limited_batches
from irrepress.core.model import Model
from irrepress.core.structure import Structure
from irrepress.data.label_shards import Labels, LabelShards, structure_key
from irrepress.evaluation.predictions import label

logger = logging.getLogger(__name__)

# Structures of a window are looked up together, and those without labels sorted into batches.
_WINDOW, _ATOMS_PER_WINDOW = 128, 8192
# A shard is written after so many structures or atoms, or so many seconds.
_PER_SHARD, _ATOMS_PER_SHARD, _SECONDS_PER_SHARD = 512, 65536, 60.0


@dataclass
class Labeller:
    """A model that labels structures, and the labels that are kept of it.

    Labels that are kept are those of an earlier call, which may have put a structure into another
    batch: they agree with new ones to round-off.

    Attributes:
        model: the model, on the device that it is to run on.
        name: what stores and messages call its labels.
        shards: where labels are kept; None: they are not.
        taken: number of structures whose labels were there.
        made: number of structures that the model labelled.

    Example:
        >>> labeller = Labeller(model, "sevennet 7net-0")
        >>> [len(structure) for structure in labeller.label(structures)]
        [2, 2, 2, 2]
        >>> labeller.made
        4
    """

    model: Model
    name: str
    shards: LabelShards | None = None
    taken: int = 0
    made: int = 0
    _keys: list[tuple[int, int]] = field(default_factory=list, repr=False)
    _labels: list[Labels] = field(default_factory=list, repr=False)
    _atoms: int = field(default=0, repr=False)
    _written: float = field(default_factory=time.monotonic, repr=False)

    def label(self, structures: Iterable[Structure], *, batch_size: int = 8) -> Iterator[Structure]:
        """Yield structures in their order, with the model's labels in place of their own.

        Args:
            structures: any iterable; a few hundred structures are held in memory at a time.
            batch_size: number of structures per forward pass; fewer if they are large. Batches
                are made of structures of like size.

        Raises:
            UserError: if a prediction is not finite, or labels cannot be written.
        """
        taken, made = self.taken, self.made
        try:
            for window in in_limited_batches(structures, _WINDOW, _ATOMS_PER_WINDOW):
                yield from self._window(window, batch_size)
        finally:
            self._write()
            taken, made = self.taken - taken, self.made - made
            kept = "" if self.shards is None else f"; {taken:,} were there, in {self.shards.folder}"
            logger.info("labels of %s: %s made%s", self.name, f"{made:,}", kept)

    def _window(self, window: list[Structure], batch_size: int) -> list[Structure]:
        if self.shards is None:
            wanted = sorted(range(len(window)), key=lambda i: len(window[i]))
            self.made += len(window)
            return _put(window, dict(self._predicted(window, wanted, batch_size)))
        self.shards.refresh()
        keys = list(map(structure_key, window))
        found = self.shards.find(keys)
        first: dict[tuple[int, int], int] = {}  # so that repeated structures are labelled once
        for i, key in enumerate(keys):
            if i not in found:
                first.setdefault(key, i)
        wanted = sorted(first.values(), key=lambda i: len(window[i]))
        for i, structure in self._predicted(window, wanted, batch_size):
            found[i] = self.shards.labels_of(structure)
            self._keep(keys[i], found[i], len(structure))
        self.made += len(wanted)
        self.taken += len(window) - len(wanted)
        labels = (found.get(i) or found[first[key]] for i, key in enumerate(keys))
        return [replace(s, **_plain(own)) for s, own in zip(window, labels, strict=True)]

    def _predicted(
        self, window: list[Structure], wanted: list[int], batch_size: int
    ) -> Iterator[tuple[int, Structure]]:
        chosen = (window[i] for i in wanted)
        predicted = label(self.model, chosen, batch_size=batch_size, name=self.name)
        yield from zip(wanted, predicted, strict=True)

    def _keep(self, key: tuple[int, int], labels: Labels, atoms: int) -> None:
        self._keys.append(key)
        self._labels.append(labels)
        self._atoms += atoms
        late = time.monotonic() - self._written > _SECONDS_PER_SHARD
        if late or len(self._keys) >= _PER_SHARD or self._atoms >= _ATOMS_PER_SHARD:
            self._write()

    def _write(self) -> None:
        if self.shards is not None and self._keys:
            self.shards.write(self._keys, self._labels)
        self._keys, self._labels, self._atoms = [], [], 0
        self._written = time.monotonic()


def _put(window: list[Structure], predicted: dict[int, Structure]) -> list[Structure]:
    return [predicted[i] for i in range(len(window))]


def _plain(labels: Labels) -> dict[str, Any]:
    return {n: float(v) if n == "energy" else np.array(v, dtype=float) for n, v in labels.items()}
