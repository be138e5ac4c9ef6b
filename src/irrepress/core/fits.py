"""Fits of a narrowed model's linear maps to its parent's features."""

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
    """The same structures as batches of a parent and of a narrowed model, whose cutoffs may differ.

    Attributes:
        parent: the parent's batch.
        narrowed: the narrowed model's batch.

    Example:
        >>> pair = Pair.of(model, model, structures)
        >>> pair.parent is pair.narrowed, len(pair.parent)
        (True, 4)
    """

    parent: Batch
    narrowed: Batch

    @classmethod
    def of(cls, parent: Model, narrowed: Model, structures: Sequence[Structure]) -> Pair:
        """Build both batches on the models' devices; with equal cutoffs, they are the same."""
        batch = parent.batch(structures)
        same = parent.cutoff == narrowed.cutoff
        return cls(batch, batch if same else narrowed.batch(structures))


class LinearFit(ABC):
    """Equivariant linear maps of a narrowed model that are fitted together, with their targets.

    Attributes:
        name: name of the maps within the family's network.

    Example:
        >>> from irrepress.core.plan import Plan
        >>> fit = model.linear_fits(model, Plan.identity(model.groups()))[0]
        >>> fit.weights()["0e"].shape
        torch.Size([128, 128])
    """

    name: str

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """Return the effective weights: irrep -> ``[inputs, outputs]`` float64.

        They include the family's normalisation: outputs are inputs times weights.
        """

    @abstractmethod
    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Set weights, in the format of `weights`; missing irreps are not changed."""

    @abstractmethod
    def rows(self, source: Pair | Progress) -> Rows:
        """Run both models up to these maps, without gradients.

        Args:
            source: a batch for each model, or the state after an earlier fit of the same models
                (`Rows.progress`), on the models' device.
        """


@dataclass(frozen=True)
class Progress:
    """Intermediate states of two networks; can be pickled.

    Attributes:
        parent: the parent's features, in the family's own format.
        narrowed: the narrowed model's features, before any map that has not been fitted yet.

    Example:
        >>> from irrepress.core.plan import Plan
        >>> fit = model.linear_fits(model, Plan.identity(model.groups()))[0]
        >>> progress = fit.rows(Pair.of(model, model, structures)).progress
        >>> isinstance(progress.to("cpu"), Progress)
        True
    """

    parent: Any
    narrowed: Any

    def to(self, device: torch.device | str) -> Progress:
        """Return the states on another device."""
        return Progress(self.parent.to(device), self.narrowed.to(device))


@dataclass(frozen=True)
class Rows:
    """The data of a linear fit.

    Attributes:
        inputs: inputs of the maps in the narrowed model: irrep -> ``[atoms, channels, 2 l + 1]``,
            with channels as in `LinearFit.weights`.
        outputs: target outputs from the parent, in the same format.
        progress: state from which the next fit can continue, before the maps of this fit are
            applied, so that their new weights are used.

    Example:
        >>> from irrepress.core.plan import Plan
        >>> fit = model.linear_fits(model, Plan.identity(model.groups()))[0]
        >>> rows = fit.rows(Pair.of(model, model, structures))
        >>> rows.inputs["0e"].shape, rows.outputs["0e"].shape
        (torch.Size([8, 128, 1]), torch.Size([8, 128, 1]))
    """

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    progress: Progress
