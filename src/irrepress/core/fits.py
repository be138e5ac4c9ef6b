"""Linear maps of a narrowed model that are fitted to what its parent computes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from irrepress.core.model import Batch, Model
from irrepress.core.structure import Structure


@dataclass(frozen=True)
class Pair:
    """The same structures as a parent and a narrowed model see them, whose cutoffs may differ.

    Attributes:
        parent: the parent's batch.
        narrowed: the narrowed model's.
    """

    parent: Batch
    narrowed: Batch

    @classmethod
    def of(cls, parent: Model, narrowed: Model, structures: Sequence[Structure]) -> Pair:
        """Build both batches, on the models' devices: one, where it serves both models."""
        batch = parent.batch(structures)
        same = parent.cutoff == narrowed.cutoff
        return cls(batch, batch if same else narrowed.batch(structures))


class LinearFit(ABC):
    """Equivariant linear maps of a narrowed model that are fitted together, and to what.

    Attributes:
        name: of the maps, within the family's network.
    """

    name: str

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """Return the weights as the network applies them: irrep -> ``[inputs, outputs]`` float64.

        The family's normalisation is part of them: outputs are inputs times weights.
        """

    @abstractmethod
    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Replace weights, in the form of `weights`; irreps that are absent stay."""

    @abstractmethod
    def rows(self, source: Pair | Progress) -> Rows:
        """Run both models as far as needed, without gradients.

        Args:
            source: a batch of each model, or where an earlier fit of the same models left them
                (`Rows.progress`), on the models' device.
        """


@dataclass(frozen=True)
class Progress:
    """How far two networks have come with their batches; can be pickled.

    Attributes:
        parent: the parent's features, in the family's own form.
        narrowed: the narrowed model's, before all maps that are not fitted yet.
    """

    parent: Any
    narrowed: Any

    def to(self, device: torch.device | str) -> Progress:
        """Return the same on another device."""
        return Progress(self.parent.to(device), self.narrowed.to(device))


@dataclass(frozen=True)
class Rows:
    """What a fit is made from.

    Attributes:
        inputs: what enters the maps in the narrowed model: irrep -> ``[atoms, channels,
            2 l + 1]``, channels as in `LinearFit.weights`.
        outputs: what should leave them, from the parent, in the same form.
        progress: what the next fit begins with, so that the networks need not run from their
            start again. The maps of this fit have not run in it: new weights count.
    """

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    progress: Progress
