"""The criteria that need data: each sums over structures what their gates tell.

What they measure is told in `irrepress.pruning.scoring`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from irrepress.errors import UserError
from irrepress.pruning.blocks import Group
from irrepress.pruning.curvature import probed_diagonal
from irrepress.pruning.gated_pass import ByGroup, GatedPass
from irrepress.pruning.losses import huber_loss, per_structure

# A loss below this is the model compared with its own predictions.
ROUND_OFF = 1e-9


class DataCriterion(ABC):
    """A criterion as a sum over structures."""

    @abstractmethod
    def add(self, forward: GatedPass) -> None:
        """Add the structures of one pass."""

    @abstractmethod
    def scores(self) -> ByGroup:
        """Return the scores from all that was added.

        Raises:
            UserError: what was added cannot be scored by this criterion.
        """


class Taylor(DataCriterion):
    """Mean over structures of the Huber loss's absolute first-order change."""

    def __init__(self, groups: Sequence[Group]):
        self._sums = Sums(groups)
        self._labelled = False

    def add(self, forward: GatedPass) -> None:
        """See the base class."""
        losses = huber_loss(forward.prediction, forward.batch, forward.labels, forward.weights)
        self._labelled |= bool((losses > ROUND_OFF).any())
        self._sums.add({k: v.abs() for k, v in forward.gradients(losses.sum()).items()})

    def scores(self) -> ByGroup:
        """See the base class."""
        if not self._labelled:
            raise UserError(
                "scoring: the criterion 'taylor' needs labels that differ from the model's own "
                "predictions, and the calibration structures have none; use 'fisher'"
            )
        return self._sums.mean()


class Fisher(DataCriterion):
    """Mean over structures of an estimate of the Gauss-Newton diagonal."""

    def __init__(self, groups: Sequence[Group]):
        self._sums = Sums(groups)

    def add(self, forward: GatedPass) -> None:
        """See the base class."""
        self._sums.add({k: v.square() for k, v in forward.projected.items()})

    def scores(self) -> ByGroup:
        """See the base class."""
        return self._sums.mean()


class Hessian(DataCriterion):
    """Expected change of the squared loss to second order; see `irrepress.pruning.scoring`.

    Args:
        groups: the model's groups.
        probes: random vectors per batch for the curvature of the outputs.
        generator: of the probes, on the CPU.
    """

    def __init__(self, groups: Sequence[Group], probes: int, generator: torch.Generator):
        self._changes, self._squares, self._gauss_newton = Sums(groups), Sums(groups), Sums(groups)
        self._probes, self._generator = probes, generator

    def add(self, forward: GatedPass) -> None:
        """See the base class."""
        gauss_newton = {k: v.square() for k, v in forward.projected.items()}
        self._gauss_newton.add(gauss_newton)
        changes = {k: v.double() / 2 for k, v in gauss_newton.items()}
        losses = per_structure(
            forward.component_weights * forward.residuals.square() / 2, forward.batch
        )
        if bool((losses > ROUND_OFF).any()):
            # Its gradient is the loss's; its second derivatives are what the Gauss-Newton
            # matrix lacks of the loss's.
            pull = (forward.component_weights * forward.residuals * forward.components).sum()
            gradients = forward.gradients(pull, create_graph=True)
            curvature = probed_diagonal(
                gradients, forward.gates, self._scales(), self._probes, self._generator
            )
            for name, change in changes.items():
                change += curvature[name].double() / 2 - gradients[name].detach().double()
        self._changes.add(changes)
        self._squares.add({k: v.square() for k, v in changes.items()})

    def scores(self) -> ByGroup:
        """See the base class."""
        means, squares, count = self._changes.mean(), self._squares.mean(), self._changes.count
        return {
            name: expected_positive(
                mean, ((squares[name] - mean.square()).clamp_min(0) / max(count - 1, 1)).sqrt()
            )
            for name, mean in means.items()
        }

    def _scales(self) -> ByGroup:
        """Sizes of the probes: the inverse root of the Gauss-Newton diagonal so far.

        Blocks that matter little drown in the noise of those that matter much unless all change
        the outputs by as much.
        """
        means = self._gauss_newton.mean()
        least = 1e-6 * max(float(mean.max()) for mean in means.values())
        return {name: mean.clamp_min(max(least, 1e-30)).rsqrt() for name, mean in means.items()}


class Activation(DataCriterion):
    """Mean over atoms (or edges) of the squared norm of the block's features."""

    def __init__(self, groups: Sequence[Group]):
        self._sums = Sums(groups)
        self._rows = dict.fromkeys((g.name for g in groups), 0)

    def add(self, forward: GatedPass) -> None:
        """See the base class."""
        self._sums.add({name: squares[None] for name, (squares, _) in forward.activations.items()})
        for name, (_, rows) in forward.activations.items():
            self._rows[name] += rows

    def scores(self) -> ByGroup:
        """See the base class."""
        return {name: total / max(self._rows[name], 1) for name, total in self._sums.total.items()}


class Sums:
    """Sums over structures for every block, in float64.

    Attributes:
        total: group name -> sums, ``[channels]``.
        count: number of structures.
    """

    def __init__(self, groups: Sequence[Group]):
        self.total: ByGroup = {g.name: torch.zeros(g.channels, dtype=torch.float64) for g in groups}
        self.count = 0

    def add(self, values: ByGroup) -> None:
        """Add group name -> ``[structures, channels]``."""
        for name, rows in values.items():
            self.total[name] = self.total[name].to(rows.device) + rows.double().sum(0)
        self.count += len(next(iter(values.values())))

    def mean(self) -> ByGroup:
        """Return the means over structures."""
        return {name: total / self.count for name, total in self.total.items()}


def expected_positive(mean: Tensor, error: Tensor) -> Tensor:
    """Return the expected value of what was measured as ``mean`` but cannot be negative.

    The mean of the normal distribution with this mean and standard ``error``, cut off below 0:
    with a prior that is flat above 0 it is the expected value after the measurement. It is
    ``mean`` where that is many errors above 0, and falls to 0 far below; without an error it is
    the positive part.
    """
    z = mean / error.clamp_min(1e-300)
    # The normal density over its integral up to z, which erfcx keeps from underflowing.
    ratio = (2 / torch.pi) ** 0.5 / torch.special.erfcx(-z / 2**0.5)
    return torch.where(error > 0, mean + error * ratio, mean).clamp_min(0)
