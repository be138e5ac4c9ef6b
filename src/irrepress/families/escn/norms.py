"""Size of the weights that read each block, for the criterion ``magnitude``."""

import torch
from torch import Tensor

from irrepress.core.model import Model
from irrepress.families.escn.architecture import read_architecture
from irrepress.families.escn.gates import make_groups
from irrepress.families.escn.layout import Axis, component, make_layout, order


@torch.no_grad()
def block_norms(model: Model) -> dict[str, Tensor]:
    """Return group name -> norms, ``[channels]``; see `families.base.Family.block_norms`.

    A block is read where the last axis of a weight matrix holds its channels. Orders and
    components collect all weights that read features of that order or component.
    """
    architecture = read_architecture(model.native)
    layout = make_layout(architecture)
    squares = {
        g.name: torch.zeros(g.channels, device=model.device, dtype=torch.float64)
        for g in make_groups(architecture)
    }
    for name, parameter in model.network.named_parameters():
        axes = layout.get(name, ())
        if len(axes) < 2 or "embedding" in name.split(".")[-2] or "norm" in name:
            continue  # vectors, tables of elements, and scales of norms read nothing
        columns = parameter.double().square()
        if len(axes) == 3:  # one matrix for each order
            for degree, matrix in enumerate(columns):
                _collect(squares, matrix.sum(0), axes[-1], degree)
        else:
            _collect(squares, columns.sum(0), axes[-1], None)
    return {name: total.sqrt() for name, total in squares.items()}


def _collect(squares: dict[str, Tensor], columns: Tensor, axis: Axis, degree: int | None) -> None:
    """Add the squares of one matrix's columns to their groups, orders and components."""
    start = 0
    for part in axis:
        own = columns[start : start + part.size]
        start += part.size
        if part.group is None:
            continue
        squares[part.group] += own
        if part.group == "features" or part.group.startswith(("messages.", "update.")):
            squares[order(part.l if degree is None else degree)] += own.sum()
        if part.m:
            squares[component(part.m)] += own.sum()
