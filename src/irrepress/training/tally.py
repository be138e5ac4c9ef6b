"""Sums over the batches between two validations, on one rank or on all of them."""

from typing import Any

import torch
from torch import Tensor

from irrepress.training.losses import Comparison
from irrepress.training.ranks import communication_device, summed


class Tally:
    """Sums over several batches: one comparison for the labels and one for the teacher."""

    def __init__(self) -> None:
        self.comparisons: list[Comparison] = []
        self._loss: Tensor | float = 0.0
        self._steps = 0

    @classmethod
    def of(cls, state: dict[str, Any]) -> "Tally":
        """Return the tally whose `state` this is."""
        tally = cls()
        tally.comparisons = [Comparison(**content) for content in state["comparisons"]]
        tally._loss, tally._steps = state["loss"], state["steps"]
        return tally

    def state(self) -> dict[str, Any]:
        """Return all that it holds, for a checkpoint."""
        return {
            "comparisons": [vars(comparison).copy() for comparison in self.comparisons],
            "loss": float(self._loss),
            "steps": self._steps,
        }

    def add(self, comparisons: list[Comparison], loss: Tensor | None = None) -> None:
        """Add a batch, and the loss of its step if it was one of training."""
        comparisons = [comparison.detach() for comparison in comparisons]
        if self.comparisons:
            pairs = zip(self.comparisons, comparisons, strict=True)
            comparisons = [total + comparison for total, comparison in pairs]
        self.comparisons = comparisons
        if loss is not None:
            self._loss = self._loss + loss.detach().double()
            self._steps += 1

    def over_ranks(self) -> "Tally":
        """Return the sums over all ranks, which must all call this.

        Ranks take a step together: the first one counts the steps of all.
        """
        tally = Tally()
        tally.comparisons = [comparison.over_ranks() for comparison in self.comparisons]
        loss = torch.as_tensor(self._loss, dtype=torch.float64, device=communication_device())
        tally._loss, tally._steps = summed(loss), self._steps
        return tally

    def mean_absolute(self) -> dict[str, float]:
        """Mean absolute errors against the last target; NaN before the first step."""
        last = self.comparisons[-1] if self.comparisons else Comparison.empty()
        return last.mean_absolute()

    def mean_loss(self) -> float:
        """Mean loss of the steps; NaN before the first one."""
        return float(self._loss) / self._steps if self._steps else float("nan")
