"""Predictions for losses, faster than sevenn's code: see `irrepress.families.generic.learning`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sevenn._keys as KEY
import torch
from torch import Tensor

from irrepress.core.model import Batch, Model, NativeModule, Prediction
from irrepress.families.e3nn.duals import fewer_operations
from irrepress.families.e3nn.neighbour_sums import ChunkedEdges, NeighbourSum, sum_of
from irrepress.families.generic.gates import is_gated
from irrepress.families.generic.learning import energies_and_slopes
from irrepress.families.sevennet.architecture import RESCALE
from irrepress.families.sevennet.graph import (
    Graph,
    convolutions,
    fresh,
    keeping_graph,
    read,
)


def predict_for_loss(model: Model, batch: Batch) -> Prediction | None:
    """Run the network; see `irrepress.core.family.LearnsFaster`."""
    layers = convolutions(model)
    sums = [each for layer in layers if (each := sum_of(layer.convolution)) is not None]
    if len(sums) < len(layers) or is_gated(model) or torch.is_autocast_enabled("cpu"):
        return None
    modules = model.network._modules
    names = list(modules)
    after_energies = names.index(RESCALE) + 1
    data = fresh(model, batch)
    index = data[KEY.EDGE_IDX]
    widest = max(each.width for each in sums)
    near = ChunkedEdges(len(batch.structure), index[0], index[1], widest)

    def run(vectors: Tensor) -> Tensor:
        data = model.network._preprocess(fresh(model, batch))
        data[KEY.EDGE_VEC] = vectors
        with _summed(layers, sums, near), fewer_operations(model.network.modules()):
            for name in names[:after_energies]:
                data = modules[name](data)
        near.forget()
        return data[KEY.ATOMIC_ENERGY].squeeze(1)

    parameters = [each for each in model.parameters() if each.requires_grad]
    atomic, slopes = energies_and_slopes(run, data[KEY.EDGE_VEC], parameters)
    # The rest is sevenn's own: it derives by vectors what is zero and has the slopes of the energy.
    with torch.enable_grad(), keeping_graph(model, True):
        vectors = data[KEY.EDGE_VEC].requires_grad_(True)
        nothing = ((vectors - vectors.detach()) * slopes).sum(1)
        data[KEY.ATOMIC_ENERGY] = atomic.index_add(0, index[0], nothing).unsqueeze(1)
        for name in names[after_energies:]:
            data = modules[name](data)
    return read(data, create_graph=True)


@contextmanager
def _summed(
    layers: Sequence[NativeModule], sums: Sequence[NeighbourSum], near: ChunkedEdges
) -> Iterator[None]:
    """Compute convolutions by sums over neighbours while the context lasts."""
    try:
        for layer, sum_ in zip(layers, sums, strict=True):
            layer.forward = _Summed(layer, sum_, near)
        yield
    finally:
        for layer in layers:
            del layer.forward


class _Summed:
    """What a convolution does, for `_summed`."""

    def __init__(self, layer: NativeModule, sum_: NeighbourSum, near: ChunkedEdges):
        self.layer, self.sum, self.near = layer, sum_, near

    def __call__(self, data: Graph) -> Graph:
        layer = self.layer
        *steps, last = layer.weight_nn
        hidden = data[layer.key_weight_input]
        for step in steps:
            hidden = step(hidden)
        maps = last(torch.eye(hidden.shape[1], dtype=hidden.dtype, device=hidden.device))
        features, harmonics = data[layer.key_x], data[layer.key_filter]
        found = self.sum(self.near, features, harmonics, hidden, maps)
        data[layer.key_x] = found / layer.denominator
        return data
