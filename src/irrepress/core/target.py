"""Target shapes, as an alternative to budgets."""

from pydantic import Field, field_validator, model_validator

from irrepress.core.errors import UserError
from irrepress.core.irreps import parse_irreps
from irrepress.core.section import Channels, Layers, Order, Radius, Section


class Explicit(Section):
    """A target shape; anything not given stays as in the parent.

    Example:
        >>> Explicit(irreps="64x0e+32x1e", filter_lmax=1).names_shape
        False
    """

    irreps: list[str] | str | None = Field(
        None,
        description="All irreps of the node features; orders that are not listed are removed. "
        "Either one string for all layers, or a list with one per layer, or the name "
        "of an official shape of the family, such as mace-mp-0-small. null: the "
        "parent's.",
    )
    filter_lmax: Order | None = Field(
        None,
        description="Highest order of the filter (the spherical harmonics); null: the parent's.",
    )
    widths: dict[str, Channels] = Field(
        {},
        description="Channels of anything else that can be narrowed, by width as listed by "
        "irrepress inspect, such as readout: 8 or hidden_channels: 64. Missing widths "
        "stay as in the parent.",
    )
    cutoff: Radius | None = Field(None, description="Cutoff radius in Å; null: the parent's.")
    layers: Layers | None = Field(
        None,
        exclude_if=lambda layers: layers is None,
        description="Message-passing layers to keep: how many, of which the first and the last "
        "stay and the others are spread evenly, or a list of the parent's, counted from 0, such "
        "as [0, 3, 4]; null: all. Irreps in a list are then those of the layers that stay.",
    )

    @property
    def names_shape(self) -> bool:
        """Whether the irreps are the name of a shape, which begins with a letter."""
        return isinstance(self.irreps, str) and self.irreps[:1].isalpha()

    @field_validator("irreps")
    @classmethod
    def _irreps(cls, irreps: list[str] | str | None) -> list[str] | str | None:
        if irreps is None:
            return None
        if isinstance(irreps, list) and not irreps:
            raise ValueError("the list is empty; give one string per layer, such as 64x0e+32x1e")
        try:
            for text in [irreps] if isinstance(irreps, str) else irreps:
                if isinstance(irreps, list) or not text[:1].isalpha():
                    parse_irreps(text)
        except UserError as error:
            raise ValueError(str(error)) from None
        return irreps

    @model_validator(mode="after")
    def _names_something(self) -> "Explicit":
        if not self.model_dump(exclude_defaults=True):
            raise ValueError(
                "nothing to change; give irreps, filter_lmax, widths, cutoff or layers"
            )
        return self
