"""Weights as quantization rounds them, while gradients are computed."""

import torch
from torch import Tensor

from irrepress.core.model import Model
from irrepress.quantization.schemes import blocks_by_parameter, rounded


class RoundedWeights:
    """Rounds a model's weights for a while, in place.

    A gradient is computed where the weights are rounded and applied where they are not, as if
    rounding had the slope 1 (straight-through estimator: Bengio, Léonard and Courville, arXiv
    1308.3432, 2013). So steps that are smaller than a rounding error add up.

    Args:
        model: the model.
        bits: of the integers that quantization will round to; None: weights stay as they are.

    Example:
        >>> weights = RoundedWeights(model, bits=4)
        >>> before = [p.clone() for p in model.parameters()]
        >>> weights.round()
        >>> all(torch.equal(p, was) for p, was in zip(model.parameters(), before))
        False
        >>> weights.restore()
        >>> all(torch.equal(p, was) for p, was in zip(model.parameters(), before))
        True
    """

    def __init__(self, model: Model, bits: int | None):
        self._bits = bits
        self._blocks = {} if bits is None else blocks_by_parameter(model)
        parameters = dict(model.network.named_parameters())
        self._parameters = {name: parameters[name] for name in self._blocks}
        self._exact: dict[str, Tensor] = {}

    @torch.no_grad()
    def round(self) -> None:
        """Round the weights, and keep what they were."""
        if self._bits is None:
            return
        for name, parameter in self._parameters.items():
            self._exact[name] = parameter.detach().clone()
            flat = self._exact[name].flatten().clone()
            for block in self._blocks[name]:
                matrix = block.of(flat)
                matrix.copy_(rounded(matrix, self._bits))
            parameter.copy_(flat.view_as(parameter))

    @torch.no_grad()
    def restore(self) -> None:
        """Give back what the weights were; nothing happens if they are not rounded."""
        for name, exact in self._exact.items():
            self._parameters[name].copy_(exact)
        self._exact = {}
