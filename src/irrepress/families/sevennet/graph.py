"""Graphs of structures as sevenn's networks read them, and predictions on them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import sevenn._keys as KEY
import torch
from sevenn.nn.convolution import IrrepsConvolution
from torch import Tensor

from irrepress.core.model import Batch, Model, NativeModule, Prediction
from irrepress.core.structure import Structure
from irrepress.families.e3nn.fast_products import fast_products
from irrepress.families.generic.fits import Standing
from irrepress.families.generic.gates import start
from irrepress.families.generic.graphs import TensorGraph, join, make_prediction, volumes
from irrepress.families.sevennet.architecture import RESCALE

# sevenn's xx, yy, zz, xy, yz, zx to ASE's xx, yy, zz, yz, xz, xy; sevenn's sign is opposite.
_VOIGT = [0, 1, 2, 4, 5, 3]


class Graph(TensorGraph):
    """The tensors that sevenn's network reads and adds to, by sevenn's keys."""

    @property
    def x(self) -> Tensor:
        """Node features; sevenn reads them as an attribute once."""
        return self[KEY.NODE_FEATURE]


def make_batch(model: Model, structures: Sequence[Structure]) -> Batch:
    """Join structures into one graph; see `irrepress.core.family.Family.batch`."""
    joined = join(model, structures)
    inputs = Graph(
        {
            KEY.NODE_FEATURE: joined.numbers,
            KEY.ATOMIC_NUMBERS: joined.numbers,
            KEY.EDGE_IDX: joined.index,
            KEY.EDGE_VEC: joined.vectors,
            # sevenn divides by no less than 1e-3.
            KEY.CELL_VOLUME: volumes(structures, model.dtype),
            KEY.NUM_ATOMS: joined.counts,
            KEY.BATCH: joined.structure,
        }
    )
    if model.modal is not None:
        inputs[KEY.DATA_MODALITY] = [model.modal] * len(structures)
    return joined.batch(inputs)


def predict(model: Model, batch: Batch, create_graph: bool, native: bool = False) -> Prediction:
    """Run the network; see `irrepress.core.family.Family.predict`."""
    with torch.enable_grad(), nullcontext() if native else fast(model):
        with keeping_graph(model, create_graph):
            data = model.network(fresh(model, batch))
    return read(data, create_graph)


@contextmanager
def keeping_graph(model: Model, wanted: bool) -> Iterator[None]:
    """Let sevenn keep the graph of forces, or not, while the context lasts."""
    forces = model.network._modules["force_output"]
    training = forces.training
    forces.training = wanted  # which is what decides it
    try:
        yield
    finally:
        forces.training = training


def read(data: Mapping[str, Tensor], create_graph: bool) -> Prediction:
    """Return what a network has found."""
    stress = -data[KEY.PRED_STRESS][:, _VOIGT]
    energy, forces = data[KEY.PRED_TOTAL_ENERGY], data[KEY.PRED_FORCE]
    atomic = data[KEY.ATOMIC_ENERGY].squeeze(1)
    return make_prediction(energy, forces, stress, atomic, create_graph=create_graph)


@dataclass(frozen=True)
class Stopped(Standing):
    """A network that has run up to a module, which has not run.

    Attributes:
        data: what the module would read.
        at: name of the module; None: the network has not begun.
    """

    data: Graph
    at: str | None = None


def begin(model: Model, batch: Batch) -> Stopped:
    """Return a network's state before its first module."""
    return Stopped(fresh(model, batch))


def run_until(model: Model, state: Stopped, name: str) -> Stopped:
    """Run the network on to a module, which does not run, without gradients.

    Args:
        model: the model.
        state: from `begin` or an earlier call, on the model's device; it is not changed.
        name: of a module of the network that comes no earlier than the state.
    """
    modules = model.network._modules
    names = list(modules)
    data = Graph(state.data)
    with torch.no_grad(), fast(model):
        if state.at is None:
            data = model.network._preprocess(data)
        for each in names[names.index(state.at or names[0]) : names.index(name)]:
            data = modules[each](data)
    return Stopped(Graph(data), name)


def atomic_energies(model: Model, batch: Batch) -> Tensor:
    """Return atomic energies; see `irrepress.core.family.Family.atomic_energies`."""
    names = list(model.network._modules)
    total = names[names.index(RESCALE) + 1]
    return run_until(model, begin(model, batch), total).data[KEY.ATOMIC_ENERGY].squeeze(1)


def fast(model: Model) -> AbstractContextManager[None]:
    """Compute convolutions by faster code of the same results while the context lasts."""
    return fast_products(layer.convolution for layer in convolutions(model))


def convolutions(model: Model) -> list[NativeModule]:
    """Return the convolutions of a network, layer by layer."""
    return [m for m in model.network._modules.values() if isinstance(m, IrrepsConvolution)]


def fresh(model: Model, batch: Batch) -> Graph:
    """Return a copy for the network, which adds to its input, marks edge vectors as leaves, and
    writes into cell volumes.
    """
    data = Graph(batch.inputs)
    start(model, batch.structure, data[KEY.EDGE_IDX][0])
    data[KEY.EDGE_VEC] = data[KEY.EDGE_VEC].detach()
    data[KEY.CELL_VOLUME] = data[KEY.CELL_VOLUME].clone()
    return data
