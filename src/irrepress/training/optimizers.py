"""Optimizers, and a model's weights as the matrices that some of them work on."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from operator import itemgetter
from typing import Any

import torch
from pytorch_optimizer import SOAP
from torch import Tensor

from irrepress.core.family import WeightBlock
from irrepress.core.model import Model
from irrepress.training.config import Training

# Sides of matrices that are longer are not rotated, which would cost more than it brings.
_LONGEST_ROTATED = 256
# Steps between updates of the eigenbases.
_STEPS_BETWEEN = 10
_BETAS = (0.95, 0.95)


@dataclass(frozen=True)
class _Parts:
    """Parts of a parameter, and how each is found in the flattened parameter."""

    parameter: torch.nn.Parameter
    role: str
    views: list[Callable[[Tensor], Tensor]]
    parts: list[torch.nn.Parameter]


class WeightMatrices:
    """The trainable weights of a model as the matrices that they are made of.

    Families keep the weights of many paths in one flat parameter, in which an optimizer that works
    on matrices would see none. The matrices share the memory of the parameters; weights that
    belong to no matrix stay flat.

    Args:
        model: the model, on the device on which it is trained.

    Example:
        >>> weights = WeightMatrices(model)
        >>> sum(part.numel() for part, _ in weights) == sum(
        ...     p.numel() for n, p in model.named_parameters() if n in model.parameter_roles()
        ... )
        True
    """

    def __init__(self, model: Model):
        blocks: dict[str, list[WeightBlock]] = defaultdict(list)
        for block in model.weight_blocks():
            blocks[f"network.{block.parameter}"].append(block)
        parameters = dict(model.named_parameters())
        self._of_parameters = []
        for name, role in model.parameter_roles().items():
            flat = parameters[name].detach().view(-1)
            views = [*(block.of for block in blocks[name]), *_rest(len(flat), blocks[name])]
            parts = [torch.nn.Parameter(view(flat)) for view in views]
            self._of_parameters.append(_Parts(parameters[name], role, views, parts))

    def __iter__(self) -> Iterator[tuple[torch.nn.Parameter, str]]:
        """Iterate over the matrices and their roles; see `Model.parameter_roles`."""
        for each in self._of_parameters:
            for part in each.parts:
                yield part, each.role

    def take_gradients(self) -> None:
        """Move the gradients of the model's parameters to the matrices."""
        for each in self._of_parameters:
            if each.parameter.grad is not None:
                flat, each.parameter.grad = each.parameter.grad.reshape(-1), None
                for part, view in zip(each.parts, each.views, strict=True):
                    part.grad = view(flat)


def _rest(size: int, blocks: list[WeightBlock]) -> list[Callable[[Tensor], Tensor]]:
    """Return views of what lies before, between and behind the matrices of a parameter."""
    ranges = sorted((block.start, block.start + prod(block.shape)) for block in blocks)
    starts = [0, *(end for _, end in ranges)]
    ends = [*(start for start, _ in ranges), size]
    parts = [slice(*limits) for limits in zip(starts, ends, strict=True)]
    return [itemgetter(part) for part in parts if part.start < part.stop]


def make_optimizer(settings: Training, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Return the optimizer of a training.

    AdamW scales each weight on its own (Loshchilov and Hutter, arXiv 1711.05101). SOAP does so in
    the eigenbases of the second moments of each matrix, which follow the training (Vyas et al.,
    arXiv 2409.11321); of interatomic potentials it learns faster (Harari et al., arXiv 2607.02499).

    Args:
        settings: the training's settings.
        groups: parameters (for ``soap`` those of `WeightMatrices`) and their learning rates.

    Example:
        >>> weights = torch.nn.Parameter(torch.zeros(3, 4))
        >>> groups = [{"params": [weights], "lr": 1e-3}]
        >>> type(make_optimizer(Training(optimizer="soap"), groups)).__name__
        'SOAP'
    """
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    return SOAP(
        groups,
        betas=_BETAS,
        weight_decay=settings.weight_decay,
        precondition_frequency=_STEPS_BETWEEN,
        max_precondition_dim=_LONGEST_ROTATED,
    )
