"""What the graphs of all families share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from ase.data import chemical_symbols
from torch import Tensor

from irrepress.core.errors import UserError
from irrepress.core.model import Batch, Model, Prediction
from irrepress.core.neighbours import Neighbours, neighbour_list
from irrepress.core.structure import Structure


class TensorGraph(dict[str, Any]):
    """A batch of structures by the family's own keys, which moves like a tensor.

    What is no tensor stays as it is.
    """

    def to(self, device: torch.device | str, **kwargs: Any) -> Self:
        """Return the graph on another device."""
        return self._each(lambda tensor: tensor.to(device, **kwargs))

    def pin_memory(self) -> Self:
        """Return the graph in memory that a GPU copies from by itself."""
        return self._each(Tensor.pin_memory)

    def _each(self, function: Callable[[Tensor], Tensor]) -> Self:
        return type(self)(
            {
                key: function(value) if isinstance(value, Tensor) else value
                for key, value in self.items()
            }
        )


@dataclass(frozen=True)
class Joined:
    """Structures one after another as one graph, before it takes a family's own form.

    Attributes:
        counts: number of atoms of each structure, ``[structures]`` int64.
        structure: of each atom, ``[atoms]`` int64.
        numbers: atomic numbers, ``[atoms]`` int64.
        index: first and second atom of every edge, counted through all structures,
            ``[2, edges]`` int64.
        vectors: from the first to the second atom in Å, ``[edges, 3]``, in the model's dtype.
        lists: the neighbours of each structure.
        dtype: the model's.
    """

    counts: Tensor
    structure: Tensor
    numbers: Tensor
    index: Tensor
    vectors: Tensor
    lists: Sequence[Neighbours]
    dtype: torch.dtype

    def floats(self, arrays: Sequence[np.ndarray]) -> Tensor:
        """Return one array of each structure as one tensor of the model's dtype."""
        return torch.from_numpy(np.concatenate(arrays).astype(np.float64)).to(self.dtype)

    def batch(self, inputs: TensorGraph) -> Batch:
        """Return the batch whose graph is ``inputs``."""
        return Batch(inputs, self.counts, self.structure, self.numbers)


def join(
    model: Model,
    structures: Sequence[Structure],
    select: Callable[[Neighbours, int], Neighbours] | None = None,
) -> Joined:
    """Join structures into one graph with all neighbours within the model's cutoff.

    Args:
        model: the model that will read it.
        structures: at least one.
        select: picks some of the neighbours of a structure with so many atoms; None: all stay.

    Raises:
        ValueError: there are no structures.
        UserError: an element that the model does not know.
    """
    _check(model, structures)
    lists = [neighbour_list(structure, model.cutoff) for structure in structures]
    if select is not None:
        lists = [select(each, len(s)) for each, s in zip(lists, structures, strict=True)]
    counts = torch.tensor([len(structure) for structure in structures])
    first_atoms = (counts.cumsum(0) - counts).tolist()
    index = [each.index + first for each, first in zip(lists, first_atoms, strict=True)]
    vectors = torch.from_numpy(np.concatenate([each.vectors for each in lists]))
    return Joined(
        counts=counts,
        structure=torch.repeat_interleave(torch.arange(len(structures)), counts),
        numbers=torch.from_numpy(np.concatenate([s.numbers for s in structures])).long(),
        index=torch.from_numpy(np.concatenate(index, axis=1)),
        vectors=vectors.to(model.dtype),
        lists=lists,
        dtype=model.dtype,
    )


def volumes(structures: Sequence[Structure], dtype: torch.dtype) -> Tensor:
    """Return the volumes of cells in Å^3, ``[structures]``; 0 without a cell."""
    cells = np.stack([structure.cell for structure in structures])
    return torch.from_numpy(np.abs(np.linalg.det(cells))).to(dtype)


def voigt(stress: Tensor) -> Tensor:
    """Return ``[structures, 3, 3]`` as ``[structures, 6]``: xx, yy, zz, yz, xz, xy."""
    return stress[:, [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]


def make_prediction(
    energy: Tensor, forces: Tensor, stress: Tensor, atomic: Tensor, *, create_graph: bool
) -> Prediction:
    """Return a prediction, detached unless its graph is wanted.

    Args:
        energy: see `Prediction`.
        forces: see `Prediction`.
        stress: see `Prediction`.
        atomic: atomic energies.
        create_graph: whether the graph is wanted.
    """
    results = (energy, forces, stress, atomic)
    return Prediction(*(results if create_graph else (each.detach() for each in results)))


def _check(model: Model, structures: Sequence[Structure]) -> None:
    if not structures:
        raise ValueError("a batch needs at least one structure")
    known = set(model.elements)
    for index, structure in enumerate(structures):
        if unknown := set(map(int, structure.numbers)) - known:
            names = ", ".join(chemical_symbols[z] for z in sorted(unknown))
            raise UserError(
                f"structure {index} of the batch contains {names}, which the model does not know; "
                f"it knows {', '.join(chemical_symbols[z] for z in model.elements)}"
            )
