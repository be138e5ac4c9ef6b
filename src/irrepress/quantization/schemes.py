"""Symmetric integer quantization of a matrix with one scale per output channel."""

from dataclasses import dataclass

import torch
from torch import Tensor

from irrepress.core.errors import UserError
from irrepress.core.family import WeightBlock
from irrepress.core.model import Model

SUPPORTED_BITS = (4, 8)


@dataclass(frozen=True)
class QuantizedMatrix:
    """A matrix of weights as integers and scales.

    Attributes:
        values: for 8 bits int8, ``[rows, columns]``; for 4 bits uint8, ``[ceil(rows * columns /
            2)]``, with two values per byte, the first one in the lower half.
        scales: float32, ``[columns]``: the weight is the integer times its column's scale.
        shape: ``(rows, columns)``.
        bits: 4 or 8.

    Example:
        >>> weights = torch.tensor([[1.0, -0.5], [0.25, 1.0]])
        >>> quantized = quantize(weights, bits=8)
        >>> quantized.values
        tensor([[127, -64],
                [ 32, 127]], dtype=torch.int8)
        >>> bool((quantized.dequantize() - weights).abs().max() < 0.004)
        True
    """

    values: Tensor
    scales: Tensor
    shape: tuple[int, int]
    bits: int

    def dequantize(self) -> Tensor:
        """Return the float32 matrix, ``[rows, columns]``."""
        integers = self.values if self.bits == 8 else _unpack_nibbles(self.values, self.shape)
        return integers.float() * self.scales


def quantize(weights: Tensor, bits: int) -> QuantizedMatrix:
    """Quantize a matrix to integers with one scale per column.

    The largest magnitude in a column becomes the largest integer (127 or 7), so no weight is
    clipped or changes by more than half its column's scale.

    Args:
        weights: ``[rows, columns]``, any floating-point type.
        bits: 8 or 4.

    Raises:
        UserError: if ``bits`` is not supported or weights are not finite.
    """
    if bits not in SUPPORTED_BITS:
        raise UserError(f"quantization.bits: {bits} is not supported; use 8 or 4")
    weights = weights.detach().float().cpu()
    if not torch.isfinite(weights).all():
        raise UserError(
            "quantization: the model has weights that are NaN or infinite; train or download it "
            "again"
        )
    scaled, scales = _scaled(weights, bits)
    integers = scaled.to(torch.int8)
    values = integers if bits == 8 else _pack_nibbles(integers)
    return QuantizedMatrix(values, scales, (weights.shape[0], weights.shape[1]), bits)


def blocks_by_parameter(model: Model) -> dict[str, list[WeightBlock]]:
    """Return the matrices of a model that may be quantized, by the names of their parameters.

    >>> name, blocks = next(iter(blocks_by_parameter(model).items()))
    >>> {block.parameter for block in blocks} == {name}
    True
    """
    blocks: dict[str, list[WeightBlock]] = {}
    for block in model.weight_blocks():
        blocks.setdefault(block.parameter, []).append(block)
    return blocks


def rounded(weights: Tensor, bits: int) -> Tensor:
    """Return a matrix as `quantize` and `QuantizedMatrix.dequantize` leave it, on its device.

    >>> weights = torch.tensor([[1.0, -0.5], [0.25, 1.0]])
    >>> bool(torch.equal(rounded(weights, 4), quantize(weights, 4).dequantize()))
    True
    """
    integers, scales = _scaled(weights.detach().float(), bits)
    return (integers * scales).to(weights.dtype)


def _scaled(weights: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Return integers as floating-point numbers, and the scale of each column."""
    largest = 2 ** (bits - 1) - 1
    scales = weights.abs().amax(dim=0) / largest
    # The scale of a column of zeros is 1.
    scales = torch.where(scales > 0, scales, torch.ones_like(scales))
    return torch.round(weights / scales).clamp(-largest, largest), scales


def _pack_nibbles(integers: Tensor) -> Tensor:
    flat = (integers.flatten() + 8).to(torch.uint8)
    if len(flat) % 2:
        flat = torch.cat([flat, flat.new_zeros(1)])
    return flat[0::2] | (flat[1::2] << 4)


def _unpack_nibbles(packed: Tensor, shape: tuple[int, int]) -> Tensor:
    flat = torch.stack([packed & 15, packed >> 4], dim=1).flatten()[: shape[0] * shape[1]]
    return (flat.to(torch.int8) - 8).reshape(shape)
