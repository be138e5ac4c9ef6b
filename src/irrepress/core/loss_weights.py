"""Weights of the terms in a loss."""

from typing import Annotated

from pydantic import AfterValidator, Field

from irrepress.core.section import Number, Section, Weight


class LossWeights(Section):
    """Weights of the Huber losses of energy per atom, forces and stress.

    Example:
        >>> LossWeights(stress=0.0).forces
        1.0
    """

    energy: Weight = 1.0
    forces: Weight = 1.0
    stress: Weight = Field(
        0.1, description="For GPa; SevenNet was trained with 0.1 (0.01 for kbar)."
    )
    huber_delta: Number = Field(
        0.01,
        ge=1e-6,
        le=1e3,
        description="Difference in eV/atom, eV/Å and GPa above which the loss is linear.",
    )


def _something_counts(weights: LossWeights) -> LossWeights:
    if not (weights.energy or weights.forces or weights.stress):
        raise ValueError("energy, forces and stress all have the weight 0; raise at least one")
    return weights


# Weights of a loss, not all zero.
UsedWeights = Annotated[LossWeights, AfterValidator(_something_counts)]
