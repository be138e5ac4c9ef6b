"""Huber losses and mean absolute errors of energy, forces and stress, with missing labels."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from irrepress.core.comparison import difference, huber_loss
from irrepress.core.labels import Labels
from irrepress.core.loss_weights import LossWeights
from irrepress.core.model import Prediction
from irrepress.core.quantities import GPA_PER_EV_A3, QUANTITIES
from irrepress.training.ranks import communication_device, summed, world_size


@dataclass(frozen=True)
class Comparison:
    """Sums over the labelled components of a prediction, which can be added over batches.

    Attributes:
        huber: quantity -> sum of the Huber losses, each divided by its delta; absent if there are
            no labels.
        absolute: quantity -> sum of the absolute errors, in eV/atom, eV/Å and eV/Å^3, detached.
        counts: quantity -> number of labelled components.

    Example:
        >>> from ase.build import molecule
        >>> from dataclasses import replace
        >>> from irrepress.core.structure import Structure
        >>> water = replace(Structure.unlabelled(molecule("H2O")), energy=-14.2)
        >>> labels = Labels.of([water], torch.float64)
        >>> prediction = Prediction(torch.tensor([-14.5]), torch.zeros(3, 3), torch.zeros(1, 6))
        >>> found = compare(prediction, labels, torch.tensor([3]), huber_delta=0.01)
        >>> round(found.mean_absolute()["energy"], 3)  # eV/atom
        0.1
    """

    huber: dict[str, Tensor]
    absolute: dict[str, Tensor]
    counts: dict[str, int]

    @classmethod
    def empty(cls) -> "Comparison":
        """Return the sums over no batches."""
        return cls({}, {}, dict.fromkeys(QUANTITIES, 0))

    def __add__(self, other: "Comparison") -> "Comparison":
        return Comparison(
            _added(self.huber, other.huber),
            _added(self.absolute, other.absolute),
            _added(self.counts, other.counts),
        )

    def detach(self) -> "Comparison":
        """Return the sums without their autograd graph."""
        huber = {name: value.detach() for name, value in self.huber.items()}
        return Comparison(huber, self.absolute, self.counts)

    def over_ranks(self) -> "Comparison":
        """Return the sums over all ranks, without an autograd graph; all ranks must call this."""
        if world_size() == 1:
            return self
        sums = torch.zeros(3, len(QUANTITIES), dtype=torch.float64, device=self._device())
        for i, name in enumerate(QUANTITIES):
            if name in self.huber:
                sums[0, i], sums[1, i] = self.huber[name].detach(), self.absolute[name]
            sums[2, i] = self.counts[name]
        huber, absolute, counts = summed(sums)
        names = [(i, name) for i, name in enumerate(QUANTITIES) if counts[i] > 0]
        return Comparison(
            {name: huber[i] for i, name in names},
            {name: absolute[i] for i, name in names},
            {name: int(counts[i]) for i, name in enumerate(QUANTITIES)},
        )

    def _device(self) -> torch.device:
        return next((value.device for value in self.huber.values()), communication_device())

    def loss(self, weights: LossWeights, counts: dict[str, int] | None = None) -> Tensor | None:
        """Return the weighted sum of the mean Huber losses; None if no label has a weight.

        Args:
            weights: weights of the quantities.
            counts: divisors of the sums; None: the counts of this comparison. With the counts of
                all ranks, the losses of the ranks add up to the loss of the batch.
        """
        counts = counts or self.counts
        terms = [
            getattr(weights, name) * value / counts[name]
            for name, value in self.huber.items()
            if getattr(weights, name) > 0
        ]
        return torch.stack(terms).sum() if terms else None

    def mean_absolute(self) -> dict[str, float]:
        """Return the mean absolute errors by quantity; NaN if there are no labels."""
        return {
            name: float(self.absolute[name]) / self.counts[name]
            if self.counts[name]
            else float("nan")
            for name in QUANTITIES
        }


def compare(
    prediction: Prediction,
    labels: Labels,
    num_atoms: Tensor,
    huber_delta: float,
    large_forces: float | None = None,
) -> Comparison:
    """Compare a prediction with labels, ignoring components without a label.

    The Huber loss is divided by its delta, so that it equals the absolute error for large
    differences. Losses, gradients and gradient clipping then have the same meaning for any delta.

    Args:
        prediction: the prediction, with or without an autograd graph.
        labels: the labels, on the same device. Losses are computed in their dtype, which in mixed
            precision is wider than that of the prediction.
        num_atoms: number of atoms per structure, ``[structures]``.
        huber_delta: difference at which the loss turns from quadratic to linear, in eV/atom, eV/Å
            and GPa.
        large_forces: labelled force in eV/Å from which on losses are divided by its size: that of
            an atom by its own, those of a structure by its largest one; None: none are.
    """
    huber, absolute = {}, {}
    shares = _shares(labels, num_atoms, large_forces) if large_forces else {}
    for name in QUANTITIES:
        if labels.counts[name] == 0:
            continue
        found = difference(name, prediction, labels, num_atoms)
        losses = huber_loss(found, huber_delta)
        if shares:
            losses = losses * shares[name]
        huber[name] = losses.sum() / huber_delta
        absolute[name] = found.detach().abs().sum()
        if name == "stress":
            absolute[name] /= GPA_PER_EV_A3
    return Comparison(huber, absolute, labels.counts)


def _shares(labels: Labels, num_atoms: Tensor, large_forces: float) -> dict[str, Tensor]:
    """Return what losses count for, by quantity, in shapes that they can be multiplied by."""
    sizes = torch.nan_to_num(labels.forces).norm(dim=1)
    largest = torch.segment_reduce(sizes, "max", lengths=num_atoms.to(sizes.device))
    atoms, structures = (large_forces / each.clamp_min(large_forces) for each in (sizes, largest))
    return {"energy": structures, "forces": atoms[:, None], "stress": structures[:, None]}


def _added(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """Add two dictionaries of sums; missing quantities count as 0."""
    return {
        name: left.get(name, 0) + right.get(name, 0)
        for name in QUANTITIES
        if name in left or name in right
    }
