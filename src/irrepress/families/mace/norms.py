"""Size of the weights that read each irreps block, for the criterion ``magnitude``."""

import torch
from torch import Tensor

from irrepress.core.model import Model, NativeModule
from irrepress.families.mace.architecture import Architecture, Layer, read_architecture
from irrepress.families.mace.contraction import contractions, weights_of
from irrepress.families.mace.groups import (
    feature_group,
    filter_group,
    make_groups,
    message_group,
    mixed_group,
)
from irrepress.families.mace.linear import fully_connected, read_dense
from irrepress.families.mace.package import FullyConnectedNet


@torch.no_grad()
def block_norms(model: Model) -> dict[str, Tensor]:
    """Return group name -> norms, ``[channels]``; see `families.base.Family.block_norms`.

    A map of its own for each element counts with its mean over elements. A message is multiplied
    by the radial weights of each of its paths and then by the rows of the map behind them; a
    channel of the atomic basis by the weights of all products and then by the rows of the map
    behind those: products of norms count, summed in squares.
    """
    architecture = read_architecture(model.network)
    squares = {
        group.name: torch.zeros(group.channels, dtype=torch.float64, device=model.device)
        for group in make_groups(architecture)
    }
    for t, layer in enumerate(architecture.layers):
        _layer(squares, model.network, architecture, t, layer)
    offset = len(architecture.layers) - len(model.network.readouts)
    for i, readout in enumerate(model.network.readouts):
        _readout(squares, readout, feature_group(i + offset + 1, "0e"), architecture)
    return {name: total.sqrt() for name, total in squares.items()}


def _rows(module: NativeModule) -> dict[str, Tensor]:
    """Return irrep -> squared norm of each row, for maps by element the mean over elements."""
    found = {}
    for irrep, weight in read_dense(module).items():
        square = weight.square().sum(-1)
        found[irrep] = square.mean(1) if weight.ndim == 3 else square
    return found


def _layer(
    squares: dict[str, Tensor],
    network: NativeModule,
    architecture: Architecture,
    t: int,
    layer: Layer,
) -> None:
    interaction = network.interactions[t]
    mixed = mixed_group(layer.kind, t)
    readers = [interaction.linear_up]
    if layer.kind != "selecting":
        readers.append(interaction.skip_tp)
    for reader in readers:
        for irrep, rows in _rows(reader).items():
            squares[feature_group(t, irrep)] += rows
    if layer.kind == "nonlinear":
        for irrep, rows in _rows(interaction.linear_res).items():
            squares[message_group(t, irrep)] += rows
    if mixed is not None:
        reader = interaction.skip_tp if layer.kind == "selecting" else interaction.linear_2
        squares[mixed] += sum(_rows(reader).values())
    _messages(squares, interaction, t, layer)
    _radial(squares, interaction, architecture, t, layer)
    _products(squares, network, t)


def _messages(squares: dict[str, Tensor], interaction: NativeModule, t: int, layer: Layer) -> None:
    radial = _matrices(interaction.conv_tp_weights)[-1].square().mean(0)
    name = "linear_1" if layer.kind == "nonlinear" else "linear"
    rows = _rows(getattr(interaction, name))
    for path in layer.paths:
        columns = radial[path.offset : path.offset + path.channels]
        square = columns * rows[path.target][path.row : path.row + path.channels]
        squares[message_group(t, path.source)] += square
        squares[filter_group(path.filter)] += square.sum()


def _radial(
    squares: dict[str, Tensor],
    interaction: NativeModule,
    architecture: Architecture,
    t: int,
    layer: Layer,
) -> None:
    first, *others = _matrices(interaction.conv_tp_weights)
    for i, weight in enumerate(others):
        squares[f"radial.{t}.{i}"] += weight.square().sum(1)
    if layer.kind == "nonlinear":
        inputs = first.square().sum(1) + _matrices(interaction.density_fn)[0].square().sum(1)
        target = len(inputs) - architecture.channels
        source = target - architecture.channels
        squares[f"source.{t}"] += inputs[source:target]
        squares[f"target.{t}"] += inputs[target:]


def _products(squares: dict[str, Tensor], network: NativeModule, t: int) -> None:
    rows = _rows(network.products[t].linear)
    for irrep, contraction in contractions(network, t).items():
        for index, weight in enumerate(weights_of(contraction)):
            square = weight.double().square().mean(0).sum(0) * rows[irrep]
            squares[f"basis.{t}"] += square
            squares[f"correlation.{t}"][index] += square.sum()


def _readout(
    squares: dict[str, Tensor], readout: NativeModule, features: str, architecture: Architecture
) -> None:
    names = [name for name in ("linear_1", "linear_mid", "linear_2") if hasattr(readout, name)]
    if not names:
        squares[features] += _rows(readout.linear)["0e"]
        return
    squares[features] += _rows(readout.linear_1)["0e"]
    for i, name in enumerate(names[1:]):
        parts = _rows(getattr(readout, name))["0e"].split(architecture.readout)
        for head, part in enumerate(parts):
            squares[f"readout.{i}.{head}"] += part


def _matrices(network: NativeModule) -> list[Tensor]:
    """Return effective weights ``[inputs, outputs]`` of a radial network."""
    if isinstance(network, FullyConnectedNet):
        return fully_connected(network)
    linear = [module for module in network.net if isinstance(module, torch.nn.Linear)]
    return [module.weight.detach().double().T for module in linear]
