"""Learning-rate schedule: linear warmup, then cosine decay."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class WarmupCosine:
    """Learning-rate factor as a function of the step, counted from 0.

    Attributes:
        steps: number of steps in the entire run.
        warmup: fraction of the steps over which the factor rises linearly to 1.
        final: factor at the last step.

    Example:
        >>> factor = WarmupCosine(steps=101, warmup=0.0, final=0.1)
        >>> factor(0), round(factor(50), 2), round(factor(100), 2)
        (1.0, 0.55, 0.1)
    """

    steps: int
    warmup: float
    final: float

    def __call__(self, step: int) -> float:
        """Return the factor for ``step``."""
        rising = round(self.warmup * self.steps)
        if step < rising:
            return (step + 1) / (rising + 1)
        falling = max(self.steps - 1 - rising, 1)
        progress = min((step - rising) / falling, 1.0)
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * progress)) / 2
