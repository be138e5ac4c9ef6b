"""Weights of e3nn's maps as plain matrices, with the normalisation that e3nn applies to them.

e3nn divides by the square root of the fan-in when it runs. In the form used here that factor is
part of the weights, so that rows and columns can be picked without thinking of it.
"""

from collections.abc import Iterator, Mapping
from math import prod

import torch
from torch import Tensor

from irrepress.families.mace.package import (
    FullyConnectedTensorProduct,
    Irreps,
    Linear,
)

# irrep -> [inputs, outputs]; [inputs, elements, outputs] of products with the element
Dense = dict[str, Tensor]


def read_dense(module: Linear | FullyConnectedTensorProduct) -> Dense:
    """Return effective weights in float64, terms of one irrep joined, zero where no path is."""
    found: Dense = {}
    for irrep, place, weight, factor in _blocks(module):
        if irrep not in found:
            found[irrep] = weight.new_zeros(_size(module, irrep), dtype=torch.float64)
        found[irrep][place] = weight.detach().double() * factor
    return found


@torch.no_grad()
def write_dense(module: Linear | FullyConnectedTensorProduct, dense: Mapping[str, Tensor]) -> None:
    """Set weights, in the form of `read_dense`; irreps that are absent stay."""
    for irrep, place, weight, factor in _blocks(module):
        if irrep in dense:
            weight.copy_(dense[irrep][place] / factor)


def _blocks(
    module: Linear | FullyConnectedTensorProduct,
) -> Iterator[tuple[str, tuple[slice, ...], Tensor, float]]:
    """Yield irrep, place in the joined matrix, weights, and e3nn's factor of every path."""
    if module.weight_numel == 0:
        return
    by_element = isinstance(module, FullyConnectedTensorProduct)
    inputs = _starts(module.irreps_in1 if by_element else module.irreps_in)
    outputs = _starts(module.irreps_out)
    start = 0
    for path in module.instructions:
        if not by_element and path.i_in < 0:  # biases, which follow the weights
            continue
        size = prod(path.path_shape)
        weight = module.weight[start : start + size].view(path.path_shape)
        start += size
        irrep, row = inputs[path.i_in1 if by_element else path.i_in]
        _, column = outputs[path.i_out]
        rows = slice(row, row + weight.shape[0])
        columns = slice(column, column + weight.shape[-1])
        place = (rows, slice(None), columns) if by_element else (rows, columns)
        yield irrep, place, weight, path.path_weight


def _size(module: Linear | FullyConnectedTensorProduct, irrep: str) -> tuple[int, ...]:
    if isinstance(module, FullyConnectedTensorProduct):
        elements = module.irreps_in2.dim
        return module.irreps_in1.count(irrep), elements, module.irreps_out.count(irrep)
    return module.irreps_in.count(irrep), module.irreps_out.count(irrep)


def _starts(irreps: Irreps) -> list[tuple[str, int]]:
    """Return for every term its irrep and its first channel among all of that irrep."""
    found: list[tuple[str, int]] = []
    total: dict[str, int] = {}
    for channels, irrep in irreps:
        name = str(irrep)
        found.append((name, total.get(name, 0)))
        total[name] = total.get(name, 0) + channels
    return found
