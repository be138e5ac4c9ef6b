"""What the graphs of all families share."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from ase.data import chemical_symbols
from torch import Tensor

from irrepress.core.errors import UserError
from irrepress.core.model import Model
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


def check_batch(model: Model, structures: Sequence[Structure]) -> None:
    """Check that a batch can be built of structures.

    Raises:
        ValueError: there are none.
        UserError: an element that the model does not know.
    """
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
