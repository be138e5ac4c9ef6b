"""Layouts of e3nn's modules: maps from irrep to irrep, and networks of scalars.

e3nn divides by the square root of the fan-in when it runs: ``path_weight`` of a map's path, and
the number of inputs in a network of scalars. Works with e3nn 0.4 and newer, which is not imported
here, since with some versions other packages must be imported before it.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import Any

from irrepress.core.model import NativeModule
from irrepress.families.generic.layout import Axis, Layout, Part, Weights, free

# irrep -> the channels of all its terms, one after another
Axes = Mapping[str, Axis]


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
        size, scale = prod(path.path_shape), path.path_weight
        axes: tuple[Axis, ...]
        if product:
            axes = (inputs[path.i_in1], operand, outputs[path.i_out])
            yield Weights(f"{name}.weight", axes, start, scale, reads=0)
        elif path.i_in >= 0:
            axes = (inputs[path.i_in], outputs[path.i_out])
            yield Weights(f"{name}.weight", axes, start, scale, reads=0)
        else:
            yield Weights(f"{name}.bias", (outputs[path.i_out],), bias, scale)
            bias += size
            continue
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
