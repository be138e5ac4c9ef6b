"""Size of the weights that read each irreps block, for the criterion ``magnitude``."""

from collections.abc import Iterator

import torch
from torch import Tensor

from irrepress.core.model import Model
from irrepress.families.e3nn.narrowing import fully_connected_weights, segments
from irrepress.families.sevennet.architecture import (
    HIDDEN,
    MLP_READOUT,
    read_architecture,
    read_paths,
)
from irrepress.families.sevennet.gates import (
    feature_group,
    filter_group,
    make_groups,
    message_group,
)


@torch.no_grad()
def block_norms(model: Model) -> dict[str, Tensor]:
    """Return group name -> norms, ``[channels]``; see `families.base.Family.block_norms`.

    Features are read by the self-connection and by self_interaction_1, or by the readout.
    A message is multiplied by the radial weights of each of its paths and then by the rows of
    self_interaction_2: the product of the two norms counts, summed in squares over paths. An
    order of the filter collects all paths that it takes part in.
    """
    architecture = read_architecture(model.network)
    modules = model.network._modules
    squares = {
        g.name: torch.zeros(g.channels, device=model.device, dtype=torch.float64)
        for g in make_groups(architecture)
    }
    for t, features in enumerate(architecture.features):
        if t == architecture.layers:
            readers = [modules[MLP_READOUT if architecture.mlp_readout else HIDDEN]]
        else:
            readers = [modules[f"{t}_self_connection_intro"], modules[f"{t}_self_interaction_1"]]
        for reader in readers:
            for irrep, rows in _rows(reader):
                if irrep in features:
                    squares[feature_group(t, irrep)] += rows
        if t < architecture.layers:
            for source, filter_, path in _messages(modules, t):
                squares[message_group(t, source)] += path
                squares[filter_group(filter_)] += path.sum()
    return {name: total.sqrt() for name, total in squares.items()}


def _rows(module: torch.nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield (irrep, squared norm of each row) of whatever reads node features."""
    if hasattr(module, "fcn"):
        first = fully_connected_weights(module.fcn)[0].double()
        yield "0e", first.square().sum(1) / len(first)
        return
    linear = getattr(module, "linear", None)
    if linear is None:
        linear = module.fc_tensor_product
        inputs = segments(linear.irreps_in1)
    else:
        inputs = segments(linear.irreps_in)
    for _, path, weight in linear.weight_views(yield_instruction=True):
        irrep, occurrence = inputs[path.i_in1 if hasattr(path, "i_in1") else path.i_in]
        if occurrence == 0:  # a second segment of scalars holds modalities, not features
            yield irrep, (weight.double() * path.path_weight).flatten(1).square().sum(1)


def _messages(modules: dict[str, torch.nn.Module], t: int) -> Iterator[tuple[str, str, Tensor]]:
    """Yield (source irrep, filter irrep, squared norm of each channel) per path of layer t."""
    convolution, linear = modules[f"{t}_convolution"], modules[f"{t}_self_interaction_2"].linear
    radial = fully_connected_weights(convolution.weight_nn)[-1].double().square()
    inputs = segments(linear.irreps_in)
    rows: dict[str, Tensor] = {}
    for _, path, weight in linear.weight_views(yield_instruction=True):
        irrep, occurrence = inputs[path.i_in]
        if occurrence == 0:
            square = (weight.double() * path.path_weight).square().sum(1)
            rows[irrep] = rows[irrep] + square if irrep in rows else square
    start: dict[str, int] = {}
    for path in read_paths(convolution):
        first = start.get(path.target, 0)
        start[path.target] = first + path.channels
        if path.target in rows:
            columns = radial[:, path.offset : path.offset + path.channels].mean(0)
            yield path.source, path.filter, columns * rows[path.target][first : start[path.target]]
