"""Weights of the terms of a loss."""

from typing import Annotated

from pydantic import AfterValidator, Field

from irrepress.core.section import Number, Section, Weight


class LossWeights(Section):
    """Weights of the Huber losses of energy per atom, forces and stress."""

    energy: Weight = 1.0
    forces: Weight = 1.0
    stress: Weight = Field(
        0.1, description="0.1 for GPa is what SevenNet was trained with (0.01 for kbar)."
    )
    huber_delta: Number = Field(
        0.01,
        ge=1e-6,
        le=1e3,
        description="Where the loss turns from quadratic to linear, in eV/atom, eV/Å and GPa.",
    )


def _something_counts(weights: LossWeights) -> LossWeights:
    if not (weights.energy or weights.forces or weights.stress):
        raise ValueError("energy, forces and stress all have the weight 0; give one a weight")
    return weights


# Weights of a loss that is minimised or differentiated.
UsedWeights = Annotated[LossWeights, AfterValidator(_something_counts)]
