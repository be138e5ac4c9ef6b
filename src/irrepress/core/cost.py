"""Costs of models as functions of their widths."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """The cost of a model.

    Attributes:
        parameters: number of parameters.
        flops: floating-point operations per atom of one energy evaluation, counted analytically;
            forces and stress add the same factor for every model of a family.

    Example:
        >>> half, full = Cost(parameters=300_000, flops=2e7), Cost(parameters=800_000, flops=8e7)
        >>> half.flops / full.flops
        0.25
    """

    parameters: int
    flops: float


# widths (width key -> channels kept, absent keys at full width) -> cost
CostModel = Callable[[Mapping[str, int]], Cost]

# widths, as for a cost model -> named terms whose weighted sum is the time of a call
CostTerms = Callable[[Mapping[str, int]], dict[str, float]]

# Number of edges per atom assumed for costs at a model's own cutoff.
NEIGHBOURS = 40.0
