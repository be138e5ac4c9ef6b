"""Layouts of e3nn's modules: maps from irrep to irrep, networks of scalars, convolutions.

e3nn divides by the square root of the fan-in when it runs: ``path_weight`` of a map's path, and
the number of inputs in a network of scalars. Works with e3nn 0.4 and newer, which is not imported
here, since with some versions other packages must be imported before it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import Any

from irrepress.core.model import NativeModule
from irrepress.families.e3nn.groups import feature_group, filter_group, message_group
from irrepress.families.e3nn.paths import Path
from irrepress.families.generic.layout import Axis, Layout, Part, Weights, free

# irrep -> the channels of all its terms, one after another
Axes = Mapping[str, Axis]
# The paths of a convolution, in the order of its radial weights, and the messages that they give.
Messages = dict[Path, Part]


def feature_axes(
    channels: Mapping[str, int], layer: int, group: Callable[[int, str], str] = feature_group
) -> dict[str, Axis]:
    """Return irrep -> the channels of features.

    Args:
        channels: irrep -> their number.
        layer: of the features.
        group: name of the group of features of a layer and irrep.
    """
    return {irrep: (Part(count, group(layer, irrep)),) for irrep, count in channels.items()}


def message_parts(
    layer: int, paths: Iterable[Path], needs: Callable[[Path], tuple[str, ...]]
) -> Messages:
    """Return the messages of a layer's convolution, one for each path and channel that is sent.

    Args:
        layer: the layer.
        paths: of its convolution.
        needs: groups one of which must keep something, or the path is not built.
    """
    return {
        path: Part(
            path.channels,
            message_group(layer, path.source),
            label=f"{path.source} x {path.filter} -> {path.target}",
            inside=((filter_group(path.filter), 0),),
            needs=needs(path),
        )
        for path in paths
    }


def received(messages: Messages) -> dict[str, Axis]:
    """Return irrep -> the messages that atoms receive, those of all paths one after another."""
    axes: dict[str, Axis] = {}
    for path, part in messages.items():
        axes[path.target] = (*axes.get(path.target, ()), part)
    return axes


def linear(
    name: str, module: NativeModule, rows: Axes, columns: Axes, operand: Axis = ()
) -> Iterator[Weights]:
    """Yield the weights of a ``Linear`` or a ``FullyConnectedTensorProduct``, path by path.

    Args:
        name: of the module in the network.
        module: the map.
        rows: what its inputs are. Channels beyond those that are named, and irreps that are not,
            are kept whole.
        columns: the same of its outputs.
        operand: what the second input of a product is.
    """
    product = hasattr(module, "irreps_in1")
    inputs = _terms(module.irreps_in1 if product else module.irreps_in, rows)
    outputs = _terms(module.irreps_out, columns)
    start = bias = 0
    for path in module.instructions:
        size, scale, column = prod(path.path_shape), path.path_weight, outputs[path.i_out]
        if not product and path.i_in < 0:
            yield Weights(f"{name}.bias", (column,), bias, scale)
            bias += size
            continue
        axes = [inputs[path.i_in1], operand] if product else [inputs[path.i_in]]
        dim = module.irreps_out[path.i_out].ir.dim
        yield Weights(f"{name}.weight", (*axes, column), start, scale, dim, reads=0)
        start += size


def fully_connected(
    name: str,
    module: NativeModule,
    inputs: Axis,
    outputs: Axis,
    hidden: Sequence[Axis] | None = None,
) -> Layout:
    """Return the weights of a ``FullyConnectedNet``, layer by layer.

    Args:
        name: of the module in the network.
        module: the network.
        inputs: what its inputs are.
        outputs: what its outputs are.
        hidden: what its hidden layers are; None: they are kept whole.
    """
    axes = [inputs, *(map(free, module.hs[1:-1]) if hidden is None else hidden), outputs]
    return [
        Weights(f"{name}.layer{i}.weight", pair, scale=module.hs[i] ** -0.5, reads=0)
        for i, pair in enumerate(pairwise(axes))
    ]


def _terms(irreps: Any, axes: Axes) -> list[Axis]:
    """Return the channels of each term of irreps."""
    rest = {irrep: list(axis) for irrep, axis in axes.items()}
    found = []
    for channels, irrep in irreps:
        parts: list[Part] = []
        waiting = rest.get(str(irrep), [])
        while (missing := channels - sum(part.size for part in parts)) > 0:
            parts.append(waiting.pop(0) if waiting else Part(missing))
        found.append(tuple(parts))
    return found
