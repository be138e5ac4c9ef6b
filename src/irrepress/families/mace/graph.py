"""Graphs of structures as MACE's networks read them, and predictions on them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from ase.geometry import complete_cell
from torch import Tensor

from irrepress.core.model import Batch, Model, Prediction
from irrepress.core.neighbours import neighbour_list
from irrepress.core.structure import Structure
from irrepress.families.e3nn.fast_products import fast_products
from irrepress.families.generic.graphs import TensorGraph, check_batch

# Rows and columns of the stress matrix in ASE's order xx, yy, zz, yz, xz, xy.
_VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


class Graph(TensorGraph):
    """The tensors that MACE's network reads, by MACE's keys."""


def make_batch(model: Model, structures: Sequence[Structure]) -> Batch:
    """Join structures into one graph; see `irrepress.core.family.Family.batch`."""
    check_batch(model, structures)
    counts = torch.tensor([len(s) for s in structures])
    batch = torch.repeat_interleave(torch.arange(len(structures)), counts)
    numbers = torch.from_numpy(np.concatenate([s.numbers for s in structures])).long()
    lists = [neighbour_list(s, model.cutoff) for s in structures]
    first_atoms = np.cumsum(counts.numpy()) - counts.numpy()
    edges = [each.index + first for each, first in zip(lists, first_atoms, strict=True)]
    # Where a structure has no lattice vector, MACE divides by a volume all the same.
    cells = [np.asarray(complete_cell(s.cell), dtype=np.float64) for s in structures]
    shifts = [each.shifts.astype(np.float64) for each in lists]
    images = [shift @ cell for shift, cell in zip(shifts, cells, strict=True)]
    # The order of elements in the model, which is not sorted in every file.
    columns = torch.tensor(model.native["atomic_numbers"])
    heads = model.native["heads"]
    head = 0 if model.modal is None else heads.index(model.modal)

    def floats(arrays: Sequence[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.concatenate(arrays)).to(model.dtype)

    inputs = Graph(
        {
            "positions": floats([np.asarray(s.positions, np.float64) for s in structures]),
            "node_attrs": (numbers[:, None] == columns).to(model.dtype),
            "edge_index": torch.from_numpy(np.concatenate(edges, axis=1)),
            "shifts": floats(images),
            "unit_shifts": floats(shifts),
            "cell": floats(cells),
            "batch": batch,
            "ptr": torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)]),
            "head": torch.full((len(structures),), head),
        }
    )
    return Batch(inputs=inputs, num_atoms=counts, structure=batch, numbers=numbers)


def predict(model: Model, batch: Batch, create_graph: bool, native: bool = False) -> Prediction:
    """Run the network; see `irrepress.core.family.Family.predict`."""
    with torch.enable_grad(), nullcontext() if native else fast(model):
        found = model.network(fresh(batch), training=create_graph, compute_stress=True)
    rows, columns = _VOIGT
    stress = found["stress"]
    stress = (stress + stress.transpose(1, 2))[:, rows, columns] / 2
    result = (found["energy"], found["forces"], stress)
    if not create_graph:
        result = tuple(tensor.detach() for tensor in result)
    return Prediction(*result)


def atomic_energies(model: Model, batch: Batch) -> Tensor:
    """Return atomic energies; see `irrepress.core.family.Family.atomic_energies`."""
    with torch.no_grad(), fast(model):
        found = model.network(fresh(batch), compute_force=False)
    return found["node_energy"].to(model.dtype).detach()


def fast(model: Model) -> AbstractContextManager[None]:
    """Compute convolutions by faster code of the same results while the context lasts."""
    return fast_products(interaction.conv_tp for interaction in model.network.interactions)


def fresh(batch: Batch) -> Graph:
    """Return a copy for the network, which marks positions as leaves and strains its input."""
    data = Graph(batch.inputs)
    data["positions"] = data["positions"].detach().clone()
    return data
