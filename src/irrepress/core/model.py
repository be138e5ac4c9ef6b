"""A loaded model, the batches that it takes and what it predicts."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor


class Model(torch.nn.Module):
    """A network of some family with what is needed to save it in the family's own format.

    Attributes:
        network: the family's own module.
        family: name of the family.
        native: the family's own configuration, from which its constructor builds the network.
        cutoff: radius of the neighbour list in Å.
        elements: atomic numbers that the model knows.
        modal: which level of theory of a multi-modal model is used; None if it has only one.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        *,
        family: str,
        native: dict[str, Any],
        cutoff: float,
        elements: Iterable[int],
        modal: str | None = None,
    ):
        super().__init__()
        self.network = network
        self.family = family
        self.native = native
        self.cutoff = cutoff
        self.elements = tuple(sorted(elements))
        self.modal = modal

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the parameters."""
        return next(p.dtype for p in self.parameters() if p.is_floating_point())

    @property
    def device(self) -> torch.device:
        """Where the parameters lie."""
        return next(self.parameters()).device

    def parameter_count(self) -> int:
        """Number of parameters, trainable or not, as the families count them."""
        return sum(p.numel() for p in self.parameters())


@dataclass(frozen=True)
class Batch:
    """Several structures as one graph.

    Attributes:
        inputs: the family's own graph; only the family looks inside. Like a tensor, it has
            the methods ``to`` and ``pin_memory``.
        num_atoms: atoms per structure, ``[structures]`` int64.
        structure: index of the structure of each atom, ``[atoms]`` int64.
        numbers: atomic numbers, ``[atoms]`` int64.
    """

    inputs: Any
    num_atoms: Tensor
    structure: Tensor
    numbers: Tensor

    def to(self, device: torch.device | str, **kwargs: Any) -> "Batch":
        """Return the batch on another device."""
        return self._each(lambda part: part.to(device, **kwargs))

    def pin_memory(self) -> "Batch":
        """Return the batch in memory that a GPU copies from by itself."""
        return self._each(lambda part: part.pin_memory())

    def _each(self, function: Callable[[Any], Any]) -> "Batch":
        return Batch(*(function(getattr(self, field.name)) for field in fields(self)))

    def __len__(self) -> int:
        return len(self.num_atoms)


@dataclass(frozen=True)
class Prediction:
    """What a model says about a batch.

    Attributes:
        energy: total energy in eV, ``[structures]``.
        forces: eV/Å, ``[atoms, 3]``.
        stress: eV/Å^3, ``[structures, 6]``, Voigt order xx, yy, zz, yz, xz, xy, ASE's sign.
            Meaningless for structures without a periodic cell.
    """

    energy: Tensor
    forces: Tensor
    stress: Tensor
