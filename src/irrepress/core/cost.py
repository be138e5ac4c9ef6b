"""What models of given widths cost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What a model of given widths costs.

    Attributes:
        parameters: number of parameters.
        flops: floating-point operations of one energy evaluation per atom, counted
            analytically; forces and stress add the same factor to every model of a family.
    """

    parameters: int
    flops: float


# widths (width key -> channels kept, absent keys at full width) -> cost
CostModel = Callable[[Mapping[str, int]], Cost]

# widths, as for a cost model -> named terms whose weighted sum is the time of a call
CostTerms = Callable[[Mapping[str, int]], dict[str, float]]

# Edges per atom that costs are given for, if a model has its own cutoff.
NEIGHBOURS = 40.0
