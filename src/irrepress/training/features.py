"""A parent's features as training targets for a narrowed model.

Energies and forces give a network an error signal at its output; the parent's features give one at
every layer (feature distillation; Romero et al., FitNets, arXiv 1412.6550). The blocks that pruning
kept are compared with the same blocks of the parent, component by component; both transform in the
same way, so the loss is invariant. Where layers were dropped, the features that enter a layer are
compared with those that enter the same layer of the parent.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from irrepress.core.errors import UserError
from irrepress.core.model import Batch, Model
from irrepress.core.plan import Plan
from irrepress.training.ranks import summed

# Group name -> features, [atoms, channels, 2 l + 1].
Features = dict[str, Tensor]


class FeatureGuide:
    """Compares the features of a narrowed model with those of its parent.

    Args:
        parent: the model before narrowing; it is not changed.
        plan: the plan that the narrowed model was narrowed by.

    Raises:
        UserError: if the narrowed model has a shorter cutoff, so that its batches lack edges that
            the parent needs.

    Example:
        >>> guide = FeatureGuide(model, Plan.identity(model.groups()))
        >>> batch = model.batch(structures)
        >>> with observed(model) as features:
        ...     prediction = model.predict(batch)
        >>> round(float(guide.loss(features, batch)), 6)
        0.0
    """

    def __init__(self, parent: Model, plan: Plan):
        if plan.cutoff is not None:
            raise UserError(
                f"distillation.features: the plan shortens the cutoff to {plan.cutoff:g} Å, and "
                "the parent's features cannot be computed with fewer neighbours; set features to 0"
            )
        self.parent = parent.eval()
        axes = {group.name: group.axis for group in parent.groups()}
        # Group of the narrowed model -> group of the parent; another one where layers were dropped.
        self.followed = {
            name: own
            for name, own in parent.groups_with_layers(plan.layers).items()
            if axes[own] == "channel" and plan.keep[name]
        }
        self.kept = {name: torch.tensor(plan.keep[name]) for name in self.followed}

    def loss(self, seen: Features, batch: Batch) -> Tensor:
        """Return the mean over groups of the relative squared difference from the parent.

        Args:
            seen: features recorded by `observed` while the narrowed model predicted ``batch``.
            batch: the batch, on the device of both models.

        Returns:
            A scalar: 0 for the parent's features, 1 for zero features. With several ranks, this
            rank's contribution to the sum over ranks.
        """
        with observed(self.parent) as targets:
            self.parent.atomic_energies(batch)  # no derivatives are needed
        shares = []
        for name, kept in self.kept.items():
            target = targets[self.followed[name]][:, kept.to(batch.num_atoms.device)].detach()
            difference = seen[name].to(target.dtype) - target
            size = summed(target.square().sum()).clamp_min(torch.finfo(target.dtype).tiny)
            shares.append(difference.square().sum() / size)
        return torch.stack(shares).mean()


@contextmanager
def observed(model: Model) -> Iterator[Features]:
    """Record the features of every group inside the ``with`` block."""
    seen: Features = {}
    with model.gated({}, seen.__setitem__):
        yield seen
