"""Descriptions of models for readers: shape, groups of irreps blocks, size and cost."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from irrepress.core.cost import NEIGHBOURS
from irrepress.core.groups import widths_of
from irrepress.core.model import Model


@dataclass(frozen=True)
class DescribedGroup:
    """The attributes of a `Group` that are needed to write a plan.

    Example:
        >>> describe(model).groups[-1]
        DescribedGroup(name='features.5.0e', irrep='0e', channels=128, width='5.0e')
    """

    name: str
    irrep: str
    channels: int
    width: str


@dataclass(frozen=True)
class Description:
    """A description of a model for readers.

    Attributes:
        family: name of the family.
        modal: the level of theory of a multi-modal model; None for other models.
        shape: the architecture in the family's own terms: irreps per layer, cutoff and so on.
        parameters: number of parameters.
        flops_per_atom: floating-point operations per atom for the energy, with `NEIGHBOURS`
            neighbours.
        blocks: number of irreps blocks.
        groups: the groups of irreps blocks, in the order of the network.

    Example:
        >>> dict(describe(model).rows())["parameters"]
        '842,623'
    """

    family: str
    modal: str | None
    shape: dict[str, Any]
    parameters: int
    flops_per_atom: float
    blocks: int
    groups: list[DescribedGroup]

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield property and value as strings, without the groups."""
        yield "family", self.family + (f" (modal {self.modal})" if self.modal else "")
        for key, value in self.shape.items():
            text = "\n".join(map(str, value)) if isinstance(value, list) else str(value)
            yield key.replace("_", " "), text
        yield "parameters", f"{self.parameters:,}"
        yield "FLOPs per atom", f"{self.flops_per_atom:.3g} (energy, {NEIGHBOURS:g} neighbours)"
        yield "irreps blocks", str(self.blocks)


def describe(model: Model) -> Description:
    """Return a description of a model."""
    groups = model.groups()
    return Description(
        family=model.family.name,
        modal=model.modal,
        shape=model.shape(),
        parameters=model.parameter_count(),
        flops_per_atom=model.cost_model()(widths_of(groups)).flops,
        blocks=sum(g.channels for g in groups),
        groups=[DescribedGroup(g.name, g.irrep, g.channels, g.width) for g in groups],
    )
