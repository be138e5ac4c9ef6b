"""Predictions for losses, faster than sevenn's code: see `irrepress.families.generic.learning`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sevenn._keys as KEY
import torch
from sevenn.nn.convolution import IrrepsConvolution
from torch import Tensor

from irrepress.core.model import Batch, Model, NativeModule, Prediction
from irrepress.families.e3nn.duals import fewer_operations
from irrepress.families.e3nn.neighbour_sums import ChunkedEdges, NeighbourSum, sum_of
from irrepress.families.generic.gates import is_gated
from irrepress.families.generic.learning import energies_and_slopes
from irrepress.families.sevennet.architecture import RESCALE
from irrepress.families.sevennet.graph import Graph, fresh, keeping_graph, read


def predict_for_loss(model: Model, batch: Batch) -> Prediction | None:
    """Run the network; see `irrepress.core.family.LearnsFaster`."""
    modules = model.network._modules
    layers: list[NativeModule] = [m for m in modules.values() if isinstance(m, IrrepsConvolution)]
    known = all(NeighbourSum.can(layer.convolution) for layer in layers)
    if not known or is_gated(model) or torch.is_autocast_enabled("cpu"):
        return None
    names = list(modules)
    after_energies = names.index(RESCALE) + 1
    data = fresh(model, batch)
    index = data[KEY.EDGE_IDX]
    widest = max(sum_of(layer.convolution).width for layer in layers)
    near = ChunkedEdges(len(batch.structure), index[0], index[1], widest)

    def run(vectors: Tensor) -> Tensor:
        data = model.network._preprocess(fresh(model, batch))
        data[KEY.EDGE_VEC] = vectors
        with _summed(layers, near), fewer_operations(model.network.modules()):
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
def _summed(layers: Sequence[NativeModule], near: ChunkedEdges) -> Iterator[None]:
    """Compute convolutions by sums over neighbours while the context lasts."""
    try:
        for layer in layers:
            layer.forward = _Summed(layer, near)
        yield
    finally:
        for layer in layers:
            del layer.forward


class _Summed:
    """What a convolution does, for `_summed`."""

    def __init__(self, layer: NativeModule, near: ChunkedEdges):
        self.layer, self.near = layer, near
        self.sum = sum_of(layer.convolution)

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
