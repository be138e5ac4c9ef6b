"""Weights of e3nn's maps as plain matrices, with the normalisation that e3nn applies to them.

e3nn divides by the square root of the fan-in when it runs. In the form used here that factor is
part of the weights, so that rows and columns can be picked without thinking of it.
"""

from collections.abc import Iterator, Mapping
from math import prod

import torch
from torch import Tensor

from irrepress.core.model import NativeModule
from irrepress.families.mace.package import (
    FullyConnectedNet,
    FullyConnectedTensorProduct,
    Irreps,
    Linear,
)

# irrep -> [inputs, outputs]; [inputs, elements, outputs] of products with the element
Dense = dict[str, Tensor]
# irrep -> indices of kept channels
Kept = Mapping[str, Tensor]


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


def narrow_dense(
    wide: Linear | FullyConnectedTensorProduct,
    narrow: Linear | FullyConnectedTensorProduct,
    rows: Kept,
    columns: Kept,
    operands: Tensor | None = None,
) -> None:
    """Copy kept rows and columns, in place.

    Args:
        wide: the map of the large model.
        narrow: the map of the small model.
        rows: irrep -> indices of kept inputs; absent: all.
        columns: the same for outputs.
        operands: indices of kept elements of a product with the element; None: all.
    """
    dense = {}
    for irrep, weight in read_dense(wide).items():
        weight = select(weight, 0, rows.get(irrep))
        weight = select(weight, weight.ndim - 1, columns.get(irrep))
        dense[irrep] = select(weight, 1, operands)
    write_dense(narrow, dense)
    if getattr(narrow, "bias", None) is not None and narrow.bias.numel():
        with torch.no_grad():  # scalars alone have biases
            narrow.bias.copy_(select(wide.bias, 0, columns.get("0e")))


def fully_connected(network: FullyConnectedNet) -> list[Tensor]:
    """Return effective weights ``[inputs, outputs]`` in float64, from input to output."""
    return [
        layer.weight.detach().double() / layer.weight.shape[0] ** 0.5 for layer in _layers(network)
    ]


@torch.no_grad()
def set_fully_connected(network: FullyConnectedNet, weights: list[Tensor]) -> None:
    """Set weights, in the form of `fully_connected`."""
    for layer, weight in zip(_layers(network), weights, strict=True):
        layer.weight.copy_(weight * weight.shape[0] ** 0.5)


def select(tensor: Tensor, axis: int, indices: Tensor | None) -> Tensor:
    """Return some indices along an axis; None: all."""
    if indices is None:
        return tensor
    return tensor.index_select(axis, indices.to(tensor.device))


def _layers(network: FullyConnectedNet) -> list[NativeModule]:
    return [getattr(network, f"layer{i}") for i in range(len(network.hs) - 1)]


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
