"""Sums over the batches between two validations, on one rank or on all ranks."""

from typing import Any

import torch
from torch import Tensor

from irrepress.training.losses import Comparison
from irrepress.training.ranks import communication_device, summed


class Tally:
    """Sums over batches: a comparison with the labels and, if there is one, with the teacher.

    Example:
        >>> tally = Tally()
        >>> for loss in (0.5, 0.3):
        ...     tally.add([Comparison.empty()], torch.tensor(loss))
        >>> round(tally.mean_loss(), 3)
        0.4
    """

    def __init__(self) -> None:
        self.comparisons: list[Comparison] = []
        self._loss: Tensor | float = 0.0
        self._steps = 0

    @classmethod
    def of(cls, state: dict[str, Any]) -> "Tally":
        """Restore a tally from its `state`."""
        tally = cls()
        tally.comparisons = [Comparison(**content) for content in state["comparisons"]]
        tally._loss, tally._steps = state["loss"], state["steps"]
        return tally

    def state(self) -> dict[str, Any]:
        """Return the content, for a checkpoint."""
        return {
            "comparisons": [vars(comparison).copy() for comparison in self.comparisons],
            "loss": float(self._loss),
            "steps": self._steps,
        }

    def add(self, comparisons: list[Comparison], loss: Tensor | None = None) -> None:
        """Add a batch and, in training, the loss of its step."""
        comparisons = [comparison.detach() for comparison in comparisons]
        if self.comparisons:
            pairs = zip(self.comparisons, comparisons, strict=True)
            comparisons = [total + comparison for total, comparison in pairs]
        self.comparisons = comparisons
        if loss is not None:
            self._loss = self._loss + loss.detach().double()
            self._steps += 1

    def over_ranks(self) -> "Tally":
        """Return the sums over all ranks; all ranks must call this.

        Ranks take steps together, so the number of steps is not summed.
        """
        tally = Tally()
        tally.comparisons = [comparison.over_ranks() for comparison in self.comparisons]
        loss = torch.as_tensor(self._loss, dtype=torch.float64, device=communication_device())
        tally._loss, tally._steps = summed(loss), self._steps
        return tally

    def mean_absolute(self) -> dict[str, float]:
        """Return the mean absolute errors against the last target; NaN before the first step."""
        last = self.comparisons[-1] if self.comparisons else Comparison.empty()
        return last.mean_absolute()

    def mean_loss(self) -> float:
        """Return the mean loss over steps; NaN before the first step."""
        return float(self._loss) / self._steps if self._steps else float("nan")
