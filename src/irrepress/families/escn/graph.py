"""Graphs of structures as eSCN-MD reads them, and predictions on them."""

from collections.abc import Sequence

import numpy as np
import torch
from ase.geometry import complete_cell, wrap_positions
from torch import Tensor

from irrepress.core.model import Batch, Model, Prediction
from irrepress.core.neighbours import Neighbours, neighbour_list
from irrepress.core.structure import Structure
from irrepress.families.escn import forward, predict_unit
from irrepress.families.escn.tasks import scale_of
from irrepress.families.generic.graphs import TensorGraph, check_batch

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
    check_batch(model, structures)
    most = model.native["model_config"]["backbone"]["max_neighbors"]
    lists = [_nearest(neighbour_list(s, model.cutoff), len(s), most) for s in structures]
    counts = torch.tensor([len(s) for s in structures])
    first_atoms = np.cumsum(counts.numpy()) - counts.numpy()
    edges = [index[::-1] + first for (index, _), first in zip(lists, first_atoms, strict=True)]
    index, vectors = np.concatenate(edges, axis=1), np.concatenate([v for _, v in lists])
    if not len(vectors):
        # fairchem's layers take no empty graph. This edge lies beyond the cutoff and adds zero.
        index, vectors = np.zeros((2, 1), np.int64), np.full((1, 3), model.cutoff + 1)
    numbers = torch.from_numpy(np.concatenate([s.numbers for s in structures])).long()
    volumes = np.abs(np.linalg.det([s.cell for s in structures]))
    structure = torch.repeat_interleave(torch.arange(len(structures)), counts)
    placed = [_placed(s) for s in structures]
    inputs = Graph(
        numbers=numbers,
        structure=structure,
        index=torch.from_numpy(index),
        vectors=torch.from_numpy(vectors).to(model.dtype),
        volume=torch.from_numpy(volumes).to(model.dtype),
        positions=torch.from_numpy(np.concatenate([p for p, _ in placed])).to(model.dtype),
        cells=torch.from_numpy(np.stack([cell for _, cell in placed])).to(model.dtype),
        periodic=torch.from_numpy(np.stack([s.pbc for s in structures])).bool(),
    )
    return Batch(inputs=inputs, num_atoms=counts, structure=structure, numbers=numbers)


def _nearest(edges: Neighbours, atoms: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return edges and vectors; of atoms with very many neighbours only the nearest, as fairchem.

    Args:
        edges: all neighbours within the cutoff; the first atom ascends.
        atoms: number of atoms.
        most: how many neighbours are kept; those about as far as the last one are kept, too.
    """
    index, vectors = edges.index, edges.vectors
    counts = np.bincount(index[0], minlength=atoms)
    if most <= 0 or counts.max(initial=0) <= most:
        return index, vectors
    squares = np.square(vectors).sum(axis=1)
    kept = np.ones(len(squares), dtype=bool)
    starts = np.cumsum(counts) - counts
    for start, count in zip(starts[counts > most], counts[counts > most], strict=True):
        own = squares[start : start + count]
        kept[start : start + count] = own <= np.sort(own)[most] + _DEGENERATE
    return index[:, kept], vectors[kept]


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
        virial = (virial + virial.mT) / 2
        # xx, yy, zz, yz, xz, xy
        voigt = virial[:, [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        stress = voigt / inputs["volume"].clamp_min(_LEAST_VOLUME)[:, None]
    result = (total, forces, stress)
    if not create_graph:
        result = tuple(tensor.detach() for tensor in result)
    return Prediction(*result)


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
