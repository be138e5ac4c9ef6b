"""A parent's features as targets of a narrowed model.

Energies and forces give a network one error signal per atom; the features of the parent give one
at every layer (feature distillation; Romero et al., FitNets, arXiv 1412.6550). Blocks
that pruning kept are compared with the parent's own blocks, component by component: both
transform alike, so that the loss is invariant.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from irrepress.core.errors import UserError
from irrepress.core.model import Batch, Model
from irrepress.core.plan import Plan
from irrepress.training.ranks import summed

# Features by the name of their group, [atoms, channels, 2 l + 1].
Features = dict[str, Tensor]


class FeatureGuide:
    """Compares the features of a narrowed model with those of its parent.

    Args:
        parent: the model before narrowing; it is not changed.
        plan: the plan that the narrowed model was narrowed by.

    Raises:
        UserError: the narrowed model has a shorter cutoff, so that the parent misses edges in its
            batches.
    """

    def __init__(self, parent: Model, plan: Plan):
        if plan.cutoff is not None:
            raise UserError(
                f"distillation.features: the plan shortens the cutoff to {plan.cutoff:g} Å, which "
                "the parent's features cannot be computed with; set features to 0"
            )
        self.parent = parent.eval()
        self.kept = {
            group.name: torch.tensor(plan.keep[group.name])
            for group in parent.groups()
            if group.axis == "channel" and plan.keep[group.name]
        }

    def loss(self, seen: Features, batch: Batch) -> Tensor:
        """Return the mean over groups of the squared difference, relative to the parent's size.

        Args:
            seen: what `observed` recorded while the narrowed model predicted ``batch``.
            batch: on the device of both models.

        Returns:
            A scalar: 0 for the parent's features, 1 for none at all. With several ranks it is
            this rank's part: those of all ranks add up.
        """
        with observed(self.parent) as targets:
            self.parent.atomic_energies(batch)  # energies alone: no derivatives
        shares = []
        for name, kept in self.kept.items():
            target = targets[name][:, kept.to(batch.num_atoms.device)].detach()
            difference = seen[name].to(target.dtype) - target
            size = summed(target.square().sum()).clamp_min(torch.finfo(target.dtype).tiny)
            shares.append(difference.square().sum() / size)
        return torch.stack(shares).mean()


@contextmanager
def observed(model: Model) -> Iterator[Features]:
    """Record the features of every group while the context lasts."""
    seen: Features = {}
    with model.gated({}, seen.__setitem__):
        yield seen
