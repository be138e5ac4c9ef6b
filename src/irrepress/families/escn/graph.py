"""Graphs of structures as eSCN-MD reads them, and predictions on them."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from ase.geometry import complete_cell, wrap_positions
from torch import Tensor

from irrepress.core.model import Batch, Model, Prediction
from irrepress.core.neighbours import Neighbours
from irrepress.core.structure import Structure
from irrepress.families.escn import forward, predict_unit
from irrepress.families.escn.tasks import scale_of
from irrepress.families.generic.graphs import (
    TensorGraph,
    join,
    make_prediction,
    voigt,
    volumes,
)

# The least volume that a virial is divided by, in Å^3: structures without a cell have none.
_LEAST_VOLUME = 1e-3
# Neighbours whose squared distances differ by less, in Å^2, count as equally far in fairchem.
_DEGENERATE = 0.01


class Graph(TensorGraph):
    """The tensors of a batch: ``numbers``, ``structure``, ``index``, ``vectors``, ``volume``.

    ``index`` holds the neighbour and the atom of every edge, ``vectors`` point from the atom to
    the neighbour. fairchem's own code finds neighbours itself, from ``positions`` (inside the
    cell), ``cells`` and ``periodic``.
    """


def make_batch(model: Model, structures: Sequence[Structure]) -> Batch:
    """Join structures into one graph; see `irrepress.core.family.Family.batch`."""
    most = model.native["model_config"]["backbone"]["max_neighbors"]
    joined = join(model, structures, partial(_nearest, most))
    index, vectors = joined.index.flip(0), joined.vectors
    if not len(vectors):
        # fairchem's layers take no empty graph. This edge lies beyond the cutoff and adds zero.
        index = torch.zeros(2, 1, dtype=torch.long)
        vectors = torch.full((1, 3), model.cutoff + 1, dtype=model.dtype)
    placed = [_placed(s) for s in structures]
    inputs = Graph(
        numbers=joined.numbers,
        structure=joined.structure,
        index=index,
        vectors=vectors,
        volume=volumes(structures, model.dtype),
        positions=joined.floats([positions for positions, _ in placed]),
        cells=joined.floats([cell[None] for _, cell in placed]),
        periodic=torch.from_numpy(np.stack([s.pbc for s in structures])).bool(),
    )
    return joined.batch(inputs)


def _nearest(most: int, edges: Neighbours, atoms: int) -> Neighbours:
    """Return neighbours; of atoms with very many of them only the nearest, as fairchem.

    Args:
        most: how many neighbours are kept; those about as far as the last one are kept, too.
        edges: all neighbours within the cutoff.
        atoms: number of atoms.
    """
    counts = np.bincount(edges.index[0], minlength=atoms)
    if most <= 0 or counts.max(initial=0) <= most:
        return edges
    squares = np.square(edges.vectors).sum(axis=1)
    kept = np.ones(len(squares), dtype=bool)
    starts = np.cumsum(counts) - counts
    for start, count in zip(starts[counts > most], counts[counts > most], strict=True):
        own = squares[start : start + count]
        kept[start : start + count] = own <= np.sort(own)[most] + _DEGENERATE
    return Neighbours(edges.index[:, kept], edges.vectors[kept], edges.shifts[kept])


def _placed(structure: Structure) -> tuple[np.ndarray, np.ndarray]:
    """Return positions inside the cell, and a cell without empty vectors, as fairchem."""
    cell = np.asarray(complete_cell(structure.cell), dtype=np.float64)
    return wrap_positions(structure.positions, cell, pbc=structure.pbc, eps=0), cell


def predict(model: Model, batch: Batch, create_graph: bool, native: bool = False) -> Prediction:
    """Run the network; see `irrepress.core.family.Family.predict`.

    Energies are float64 whatever the model's type, as fairchem's are: references of elements
    are large.
    """
    if native:
        return predict_unit.predict(model, batch, create_graph)
    inputs = batch.inputs
    vectors = inputs["vectors"].detach().requires_grad_()
    with torch.enable_grad():
        energies = _energies(model, Graph({**inputs, "vectors": vectors}))
        total = energies.new_zeros(len(batch)).index_add(0, batch.structure, energies)
        (slopes,) = torch.autograd.grad(total.sum(), vectors, create_graph=create_graph)
        neighbours, atoms = inputs["index"]
        forces = slopes.new_zeros(len(batch.numbers), 3)
        forces = forces.index_add(0, atoms, slopes).index_add(0, neighbours, -slopes)
        outer = (vectors[:, :, None] * slopes[:, None, :]).flatten(1)
        virial = outer.new_zeros(len(batch), 9).index_add(0, batch.structure[atoms], outer)
        virial = virial.view(-1, 3, 3)
        virial = voigt((virial + virial.mT) / 2)
        stress = virial / inputs["volume"].clamp_min(_LEAST_VOLUME)[:, None]
    return make_prediction(total, forces, stress, energies, create_graph=create_graph)


def atomic_energies(model: Model, batch: Batch) -> Tensor:
    """Return atomic energies; see `irrepress.core.family.Family.atomic_energies`."""
    with torch.no_grad():
        return _energies(model, batch.inputs)


def _energies(model: Model, inputs: Graph) -> Tensor:
    """Return total atomic energies in eV, ``[atoms]`` float64."""
    energies = forward.read_out(model, forward.run(model, forward.begin(model, inputs))).double()
    scale = scale_of(model.native)
    structure = inputs["structure"]
    references = torch.tensor(scale.references, dtype=torch.float64, device=energies.device)
    energies = scale.rmsd * energies + references[inputs["numbers"]]
    if scale.mean:  # of a structure, whatever its size
        energies = energies + scale.mean / torch.bincount(structure)[structure]
    return energies
