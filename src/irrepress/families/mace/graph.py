"""Graphs of structures as MACE's networks read them, and predictions on them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from ase.geometry import complete_cell
from torch import Tensor

from irrepress.core.model import Batch, Model, Prediction
from irrepress.core.structure import Structure
from irrepress.families.e3nn.fast_products import fast_products
from irrepress.families.generic.gates import start
from irrepress.families.generic.graphs import TensorGraph, join, make_prediction, voigt


class Graph(TensorGraph):
    """The tensors that MACE's network reads, by MACE's keys."""


def make_batch(model: Model, structures: Sequence[Structure]) -> Batch:
    """Join structures into one graph; see `irrepress.core.family.Family.batch`."""
    joined = join(model, structures)
    # Where a structure has no lattice vector, MACE divides by a volume all the same.
    cells = [np.asarray(complete_cell(s.cell), dtype=np.float64) for s in structures]
    shifts = [each.shifts.astype(np.float64) for each in joined.lists]
    images = [shift @ cell for shift, cell in zip(shifts, cells, strict=True)]
    # The order of elements in the model, which is not sorted in every file.
    columns = torch.tensor(model.native["atomic_numbers"])
    head = 0 if model.modal is None else model.native["heads"].index(model.modal)
    inputs = Graph(
        positions=joined.floats([s.positions for s in structures]),
        node_attrs=(joined.numbers[:, None] == columns).to(model.dtype),
        edge_index=joined.index,
        shifts=joined.floats(images),
        unit_shifts=joined.floats(shifts),
        cell=joined.floats(cells),
        batch=joined.structure,
        ptr=torch.cat([torch.zeros(1, dtype=torch.long), joined.counts.cumsum(0)]),
        head=torch.full((len(structures),), head),
    )
    return joined.batch(inputs)


def predict(model: Model, batch: Batch, create_graph: bool, native: bool = False) -> Prediction:
    """Run the network; see `irrepress.core.family.Family.predict`."""
    with torch.enable_grad(), nullcontext() if native else fast(model):
        found = model.network(fresh(model, batch), training=create_graph, compute_stress=True)
    stress = voigt((found["stress"] + found["stress"].mT) / 2)
    atomic = found["node_energy"].to(model.dtype)
    return make_prediction(
        found["energy"], found["forces"], stress, atomic, create_graph=create_graph
    )


def atomic_energies(model: Model, batch: Batch) -> Tensor:
    """Return atomic energies; see `irrepress.core.family.Family.atomic_energies`."""
    with torch.no_grad(), fast(model):
        found = model.network(fresh(model, batch), compute_force=False)
    return found["node_energy"].to(model.dtype).detach()


def fast(model: Model) -> AbstractContextManager[None]:
    """Compute convolutions by faster code of the same results while the context lasts."""
    return fast_products(interaction.conv_tp for interaction in model.network.interactions)


def fresh(model: Model, batch: Batch) -> Graph:
    """Return a copy for the network, which marks positions as leaves and strains its input."""
    data = Graph(batch.inputs)
    data["positions"] = data["positions"].detach().clone()
    start(model, batch.structure, data["edge_index"][0])
    return data
