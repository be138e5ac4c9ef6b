"""Labels of a batch of structures, as tensors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from irrepress.core.structure import Structure


@dataclass(frozen=True)
class Labels:
    """The labels of a batch.

    Attributes:
        energy: total energy in eV, ``[structures]``; NaN where there is no label.
        forces: eV/Å, ``[atoms, 3]``; NaN where there is no label.
        stress: eV/Å^3, ``[structures, 6]``, Voigt; NaN where there is no label.
        counts: quantity -> number of labelled components, counted on the CPU when the batch is
            built, so that no GPU has to synchronise.

    Example:
        >>> from ase.build import molecule
        >>> water = replace(Structure.unlabelled(molecule("H2O")), energy=-14.2)
        >>> labels = Labels.of([water], torch.float64)
        >>> labels.energy, labels.counts
        (tensor([-14.2000], dtype=torch.float64), {'energy': 1, 'forces': 0, 'stress': 0})
    """

    energy: Tensor
    forces: Tensor
    stress: Tensor
    counts: dict[str, int]

    @classmethod
    def of(cls, structures: Sequence[Structure], dtype: torch.dtype) -> "Labels":
        """Collect the labels of structures, in order.

        Stress is only used if the cell is periodic along all three vectors; without a volume it is
        not defined.
        """
        energy = np.array([structure.energy for structure in structures])
        forces = np.concatenate([structure.forces for structure in structures])
        stress = np.stack([s.stress if np.all(s.pbc) else np.full(6, np.nan) for s in structures])
        arrays = {"energy": energy, "forces": forces, "stress": stress}
        return cls(
            **{name: torch.as_tensor(array, dtype=dtype) for name, array in arrays.items()},
            counts={name: int(np.isfinite(array).sum()) for name, array in arrays.items()},
        )

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Labels":
        """Return the labels on another device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Labels":
        """Return the labels in pinned memory, which a GPU copies from asynchronously."""
        return self._each(torch.Tensor.pin_memory)

    def _each(self, function: Callable[[Tensor], Tensor]) -> "Labels":
        return replace(
            self,
            energy=function(self.energy),
            forces=function(self.forces),
            stress=function(self.stress),
        )
