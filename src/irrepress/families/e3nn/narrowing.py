"""Copying the weights of kept channels into smaller e3nn modules.

Every function takes the wide module and a narrower one that its family's own constructor has
built, and overwrites the narrow module's weights so that it computes what the wide one computes
on the kept channels when all others are zero.

e3nn divides by the square root of the fan-in when it runs (``path_weight``), so a weight that
survives must be multiplied by old over new ``path_weight``. Works with e3nn 0.4 and newer.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from e3nn.nn import FullyConnectedNet
from e3nn.o3 import FullyConnectedTensorProduct, Irreps, Linear
from torch import Tensor

# One term of an Irreps: its irrep in e3nn's notation, and how many terms of the same irrep come
# before it. Terms can vanish, so their index does not identify them; this does.
Segment = tuple[str, int]


def segments(irreps: Irreps) -> list[Segment]:
    """Return the segments of ``irreps``, one per term, in order."""
    seen: dict[str, int] = {}
    found = []
    for _, irrep in irreps:
        name = str(irrep)
        found.append((name, seen.get(name, 0)))
        seen[name] = seen.get(name, 0) + 1
    return found


@torch.no_grad()
def narrow_linear(
    wide: Linear, narrow: Linear, rows: Mapping[Segment, Tensor], columns: Mapping[Segment, Tensor]
) -> None:
    """Copy kept rows and columns of an equivariant linear map, in place.

    Args:
        wide: the map of the large model, without biases.
        narrow: the map of the small model.
        rows: input segment -> indices of the kept channels; segments that are absent are kept
            whole.
        columns: the same for output segments.
    """
    inputs, outputs = segments(wide.irreps_in), segments(wide.irreps_out)
    source = {
        (inputs[path.i_in], outputs[path.i_out]): (weight, path.path_weight)
        for _, path, weight in _weight_views(wide)
    }
    inputs, outputs = segments(narrow.irreps_in), segments(narrow.irreps_out)
    for _, path, weight in _weight_views(narrow):
        row, column = inputs[path.i_in], outputs[path.i_out]
        old, old_factor = source[row, column]
        kept = _select(_select(old, 0, rows.get(row)), 1, columns.get(column))
        weight.copy_(kept * (old_factor / path.path_weight))


@torch.no_grad()
def narrow_tensor_product(
    wide: FullyConnectedTensorProduct,
    narrow: FullyConnectedTensorProduct,
    rows: Mapping[Segment, Tensor],
    operands: Mapping[Segment, Tensor],
    columns: Mapping[Segment, Tensor],
) -> None:
    """Copy kept channels of a fully connected tensor product (``uvw``), in place.

    Args:
        wide: the product of the large model, with internal weights.
        narrow: the product of the small model.
        rows: segment of the first input -> indices of the kept channels; segments that are
            absent are kept whole.
        operands: the same for the second input.
        columns: the same for the output.
    """

    def paths(product: FullyConnectedTensorProduct) -> Iterator[tuple[tuple, float, Tensor]]:
        first, second = segments(product.irreps_in1), segments(product.irreps_in2)
        output = segments(product.irreps_out)
        for _, path, weight in _weight_views(product):
            key = (first[path.i_in1], second[path.i_in2], output[path.i_out])
            yield key, path.path_weight, weight

    source = {key: (weight, factor) for key, factor, weight in paths(wide)}
    for key, factor, weight in paths(narrow):
        kept, old_factor = source[key]
        for axis, (segment, choice) in enumerate(zip(key, (rows, operands, columns), strict=True)):
            kept = _select(kept, axis, choice.get(segment))
        weight.copy_(kept * (old_factor / factor))


@torch.no_grad()
def narrow_fully_connected(
    wide: FullyConnectedNet,
    narrow: FullyConnectedNet,
    *,
    inputs: Tensor | None = None,
    outputs: Tensor | None = None,
) -> None:
    """Copy a radial network or scalar MLP with fewer inputs or outputs, in place.

    Args:
        wide: the network of the large model.
        narrow: the network of the small model, with the same hidden layers.
        inputs: indices of the kept inputs; None keeps all.
        outputs: indices of the kept outputs; None keeps all.
    """
    old, new = fully_connected_weights(wide), fully_connected_weights(narrow)
    for index, (source, target) in enumerate(zip(old, new, strict=True)):
        kept = _select(source, 0, inputs if index == 0 else None)
        kept = _select(kept, 1, outputs if index == len(old) - 1 else None)
        # A layer divides by the square root of its number of inputs when it runs.
        target.copy_(kept * (len(target) / len(source)) ** 0.5)


def fully_connected_weights(network: FullyConnectedNet) -> list[torch.nn.Parameter]:
    """Return the weight matrices of a fully connected network, from input to output."""
    return [getattr(network, f"layer{i}").weight for i in range(len(network.hs) - 1)]


@torch.no_grad()
def narrow_linear_chain(first: Tensor, second: Tensor, hidden: int) -> tuple[Tensor, Tensor]:
    """Factorize ``first @ second`` anew with fewer hidden channels; exact for one output.

    Two linear maps in a row without an activation are one linear map, so the hidden channels
    between them can be fewer without any error as long as there are as many as outputs.

    Args:
        first: effective weights ``[inputs, old hidden]``, float64.
        second: effective weights ``[old hidden, 1]``, float64.
        hidden: new number of hidden channels, at least 1.

    Returns:
        Effective weights ``[inputs, hidden]`` and ``[hidden, 1]`` with the same product. They
        are those of the hidden channels that weigh most in the output, and what the others
        contributed is added to the first matrix.
    """
    if second.shape[1] != 1:
        raise ValueError(f"the chain has {second.shape[1]} outputs, it must have one")
    kept = second[:, 0].abs().topk(hidden).indices.sort().values
    new_first, new_second = first[:, kept], second[kept]
    norm = new_second.square().sum()
    if norm > 0:
        missing = first @ second - new_first @ new_second
        new_first = new_first + missing @ new_second.T / norm
    return new_first, new_second


@torch.no_grad()
def copy_rest(
    wide: torch.nn.Module, narrow: torch.nn.Module, done: Sequence[torch.nn.Module]
) -> None:
    """Copy every parameter and buffer that no other function of this module has set.

    Args:
        wide: the large model.
        narrow: the small model.
        done: modules of ``narrow`` whose parameters are set already.

    Raises:
        ValueError: a tensor that is left has another shape in the small model.
    """
    finished = {id(parameter) for module in done for parameter in module.parameters()}
    source = wide.state_dict(keep_vars=True)
    for name, target in narrow.state_dict(keep_vars=True).items():
        # e3nn's output masks follow from the irreps; the constructor has set them.
        if id(target) in finished or name.endswith("output_mask"):
            continue
        if source[name].shape != target.shape:
            raise ValueError(f"{name}: {tuple(source[name].shape)} -> {tuple(target.shape)}")
        target.copy_(source[name])


def _weight_views(module: Linear | FullyConnectedTensorProduct) -> Iterator[tuple]:
    if module.weight_numel == 0:
        return iter(())
    return module.weight_views(yield_instruction=True)


def _select(tensor: Tensor, axis: int, indices: Tensor | None) -> Tensor:
    if indices is None:
        return tensor
    return tensor.index_select(axis, indices.to(tensor.device))
