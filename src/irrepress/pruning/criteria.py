"""Criteria that need data, each computed as a sum over structures.

`irrepress.pruning.scoring` defines them.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from irrepress.core.errors import UserError
from irrepress.core.groups import Group
from irrepress.pruning.curvature import probe_diagonal
from irrepress.pruning.gated_pass import ByGroup, GatedPass
from irrepress.pruning.objectives import huber_loss, squared_loss

# Below this loss, the labels are taken to be the model's own predictions.
ROUND_OFF = 1e-9
NO_BASIS_FOR_TAYLOR = (
    "scoring: the criterion 'taylor' needs labels that differ from the model's own predictions, "
    "and the calibration structures have none; use 'fisher'"
)


class DataCriterion(ABC):
    """A criterion that is computed as a sum over structures.

    Example:
        >>> class Gradient(DataCriterion):
        ...     def __init__(self, groups):
        ...         self._sums = _Sums(groups)
        ...
        ...     def add(self, forward):
        ...         self._sums.add(forward.gradients(forward.prediction.energy.sum()))
        ...
        ...     def scores(self):
        ...         return self._sums.mean()
        >>> Gradient(model.groups()).scores()["features.1.1e"].shape
        torch.Size([64])
    """

    @abstractmethod
    def add(self, forward: GatedPass) -> None:
        """Accumulate the structures of one pass."""

    @abstractmethod
    def scores(self) -> ByGroup:
        """Return the scores of all structures added so far: group name -> ``[channels]``.

        Raises:
            UserError: if the criterion cannot score these structures.
        """


class Taylor(DataCriterion):
    """Mean over structures of the absolute first-order change in the Huber loss.

    Example:
        >>> from irrepress.pruning.scoring import compute_scores
        >>> scores = compute_scores(model, structures, criteria=["taylor"])
        >>> scores.of("taylor")["features.1.1e"].shape
        (64,)
    """

    def __init__(self, groups: Sequence[Group]):
        self._sums = _Sums(groups)
        self._labelled = False

    def add(self, forward: GatedPass) -> None:
        """See the base class."""
        losses = huber_loss(forward.prediction, forward.batch, forward.labels, forward.loss_weights)
        self._labelled |= bool((losses > ROUND_OFF).any())
        self._sums.add({k: v.abs() for k, v in forward.gradients(losses.sum()).items()})

    def scores(self) -> ByGroup:
        """See the base class."""
        if not self._labelled:
            raise UserError(NO_BASIS_FOR_TAYLOR)
        return self._sums.mean()


class Fisher(DataCriterion):
    """Mean over structures of an estimate of the diagonal of the Gauss-Newton matrix.

    Example:
        >>> from irrepress.pruning.scoring import compute_scores
        >>> scores = compute_scores(model, structures, criteria=["fisher"])
        >>> scores.of("fisher")["features.1.1e"].shape
        (64,)
    """

    def __init__(self, groups: Sequence[Group]):
        self._sums = _Sums(groups)

    def add(self, forward: GatedPass) -> None:
        """See the base class."""
        self._sums.add({k: v.square() for k, v in forward.projected.items()})

    def scores(self) -> ByGroup:
        """See the base class."""
        return self._sums.mean()


class Hessian(DataCriterion):
    """Mean over structures of the absolute second-order change in the squared loss.

    Example:
        >>> from irrepress.pruning.scoring import compute_scores
        >>> scores = compute_scores(model, structures, criteria=["hessian"], probes=1)
        >>> scores.of("hessian")["features.1.1e"].shape
        (64,)
    """

    def __init__(self, groups: Sequence[Group], probes: int, generator: torch.Generator):
        """Initialise all sums to zero.

        Args:
            groups: the model's groups.
            probes: random vectors per batch.
            generator: generator of the random vectors, on the CPU.
        """
        self._sums, self._gauss_newton = _Sums(groups), _Sums(groups)
        self._probes, self._generator = probes, generator

    def add(self, forward: GatedPass) -> None:
        """See the base class."""
        self._gauss_newton.add({k: v.square() for k, v in forward.projected.items()})
        scales = {name: _inverse_root(mean) for name, mean in self._gauss_newton.mean().items()}
        losses = squared_loss(forward.prediction, forward.batch, forward.labels, forward.weights)
        gradients = forward.gradients(losses.sum(), create_graph=True)
        for _ in range(self._probes):
            found = probe_diagonal(gradients, forward.gates, scales, self._generator)
            self._sums.add({k: (v / 2 - gradients[k].detach()).abs() for k, v in found.items()})

    def scores(self) -> ByGroup:
        """See the base class."""
        return self._sums.mean()


class Activation(DataCriterion):
    """Mean over atoms (or edges) of the squared norm of the block's features.

    Example:
        >>> from irrepress.pruning.scoring import compute_scores
        >>> scores = compute_scores(model, structures, criteria=["activation"])
        >>> scores.of("activation")["features.1.1e"].shape
        (64,)
    """

    def __init__(self, groups: Sequence[Group]):
        self._sums = _Sums(groups)
        self._rows = dict.fromkeys((g.name for g in groups), 0)

    def add(self, forward: GatedPass) -> None:
        """See the base class."""
        self._sums.add({name: squares[None] for name, (squares, _) in forward.activations.items()})
        for name, (_, rows) in forward.activations.items():
            self._rows[name] += rows

    def scores(self) -> ByGroup:
        """See the base class."""
        return {name: total / max(self._rows[name], 1) for name, total in self._sums.total.items()}


class _Sums:
    """Sums over structures for every block, in float64.

    Attributes:
        total: group name -> sums, ``[channels]``.
        count: number of rows added.
    """

    def __init__(self, groups: Sequence[Group]):
        self.total: ByGroup = {g.name: torch.zeros(g.channels, dtype=torch.float64) for g in groups}
        self.count = 0

    def add(self, values: ByGroup) -> None:
        """Add values: group name -> ``[structures, channels]``."""
        for name, rows in values.items():
            self.total[name] = self.total[name].to(rows.device) + rows.double().sum(0)
        self.count += len(next(iter(values.values())))

    def mean(self) -> ByGroup:
        """Return the means over all rows."""
        return {name: total / self.count for name, total in self.total.items()}


def _inverse_root(means: Tensor) -> Tensor:
    """Return 1 / sqrt(mean), bounded for blocks without any influence."""
    return means.clamp_min(max(1e-6 * float(means.max()), 1e-30)).rsqrt()
