"""What follows for every family from the layout of its networks."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from irrepress.core.family import Family, WeightBlock
from irrepress.core.model import Model
from irrepress.families.generic.layout import (
    Layout,
    block_norms,
    parameter_roles,
    weight_blocks,
)


class DescribedFamily(Family):
    """A family whose networks are described by a layout."""

    # Texts in names of parameters and what such parameters do; see `layout.parameter_roles`.
    roles: ClassVar[Sequence[tuple[str, str]]]

    @abstractmethod
    def layout(self, model: Model) -> Layout:
        """Return where the channels of every group lie in the parameters of a model."""

    def block_norms(self, model: Model) -> dict[str, Tensor]:
        """Norms of the weights that read a block; see the base class."""
        return block_norms(model, self.layout(model), self.groups(model))

    def weight_blocks(self, model: Model) -> list[WeightBlock]:
        """Matrices of the layout that may be quantized; see the base class."""
        return weight_blocks(model.network, self.layout(model))

    def parameter_roles(self, model: Model) -> dict[str, str]:
        """Roles by the names of parameters; see the base class."""
        return parameter_roles(model, self.roles)
