"""A target shape of a model, in place of a budget."""

from pydantic import Field, field_validator, model_validator

from irrepress.core.errors import UserError
from irrepress.core.irreps import parse_irreps
from irrepress.core.section import Channels, Order, Radius, Section


class Explicit(Section):
    """A target shape in place of a fraction; what it does not name stays as in the parent."""

    irreps: list[str] | str | None = Field(
        None,
        description="Irreps of the node features, all of them: orders that are left out are "
        "removed. One text for every layer, or one a layer. Or the name of an official shape that "
        "the family knows, such as mace-mp-0-small. null: the parent's.",
    )
    filter_lmax: Order | None = Field(
        None,
        description="Highest order of the filter (the spherical harmonics); null: the parent's.",
    )
    widths: dict[str, Channels] = Field(
        {},
        description="Channels of anything else that can be narrowed, by its width as irrepress "
        "inspect lists it, such as readout: 8 or hidden_channels: 64. What is absent stays as in "
        "the parent.",
    )
    cutoff: Radius | None = Field(
        None, description="Radius in Å up to which neighbours stay; null: the parent's."
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
            raise ValueError("the list is empty; give one text a layer, such as 64x0e+32x1e")
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
            raise ValueError("names nothing to change; name irreps, filter_lmax, widths or cutoff")
        return self
