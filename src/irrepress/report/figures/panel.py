"""What figures have in common: panels of figures to choose among, and their axes.

Figures carry no template: the page gives them the one that fits its colour scheme.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import plotly.graph_objects as go

from irrepress.report import tables, theme

HEIGHT = 460  # px


ROW_HEIGHT = 30  # px, of one bar or one row of a heat map

# Ticks in every decade, by the largest span of an axis (ratio of its ends) that they suit.
_TICKS = (
    (3, (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)),
    (1e3, (1, 2, 5)),
    (math.inf, (1,)),
)

DOWNSTREAM_COLOURS = {
    tables.SCRATCH: theme.GREY,
    tables.FINETUNED: theme.BLUE,
    tables.FINETUNED_PARENT: theme.PARENT_COLOUR,
    tables.RESTRICTED: theme.ORANGE,
}


@dataclass(frozen=True)
class Panel:
    """Figures of one kind, one shown at a time.

    Attributes:
        name: identifier, used in the page.
        description: one sentence for readers who cannot see the figure.
        choices: label of a choice -> its options, in order; one figure per combination.
        figures: figure by options, in the order of ``choices``.
    """

    name: str
    description: str
    choices: dict[str, list[str]]
    figures: dict[tuple[str, ...], go.Figure]


def log_axis(values: Iterable[float]) -> dict[str, object]:
    """A logarithmic axis with plain numbers at its ticks, the finer the less it spans."""
    positive = [v for v in values if v > 0 and math.isfinite(v)]
    if not positive:
        return {"type": "log"}
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    span = max(positive) / min(positive)
    steps = next(steps for limit, steps in _TICKS if span <= limit)
    ticks = [step * 10.0**power for power in range(low - 1, high + 1) for step in steps]
    return {"type": "log", "tickvals": ticks, "ticktext": [_tick(tick) for tick in ticks]}


def _tick(value: float) -> str:
    return f"{value:,.10g}".replace("e-0", "e-")
