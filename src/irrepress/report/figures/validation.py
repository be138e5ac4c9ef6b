"""Curves of models beside those of their parents."""

from typing import Any

import plotly.graph_objects as go

from irrepress.report import theme
from irrepress.report.figures.panel import HEIGHT, Panel
from irrepress.report.study import Study

_PHONONS = "phonon frequencies"
_AXES = {
    "radial": ("distance [Å]", "radial distribution"),
    "equation": ("volume [Å³/atom]", "energy above the lowest [eV/atom]"),
    "phonon": ("parent [THz]", "model [THz]"),
}


def validation_panel(study: Study) -> Panel | None:
    """Curves that models were validated by, beside their parents'; None without any."""
    figures: dict[tuple[str, ...], go.Figure] = {}
    for each in study.validations:
        for structure, curves in each.measured.curves.items():
            for shown, curve in curves.items():
                figures[each.title, f"{structure}: {shown}"] = _drawn(shown, curve)
    if not figures:
        return None
    models, views = (list(dict.fromkeys(key[place] for key in figures)) for place in (0, 1))
    for key in ((model, view) for model in models for view in views):
        figures.setdefault(key, _empty())
    return Panel(
        name="validation",
        description="Line chart of a property of a model beside that of its parent.",
        choices={"Model": models, "Shown": views},
        figures=figures,
    )


def _drawn(shown: str, curve: dict[str, Any]) -> go.Figure:
    figure = go.Figure()
    if shown == _PHONONS:
        ends = [min(curve["x"]), max(curve["x"])]
        figure.add_trace(_line(ends, ends, "equal", theme.PARENT_COLOUR, dash="dot"))
        figure.add_trace(
            go.Scatter(
                x=curve["x"],
                y=curve["own"],
                name="model",
                mode="markers",
                marker={"size": 5, "color": theme.BLUE},
            )
        )
    else:
        parent_x = curve.get("parent_x", curve["x"])
        figure.add_trace(
            _line(parent_x, curve["parent"], "parent", theme.PARENT_COLOUR, dash="dot")
        )
        figure.add_trace(_line(curve["x"], curve["own"], "model", theme.BLUE))
    across, up = _AXES[shown.split()[0]]
    figure.update_xaxes(title_text=across)
    figure.update_yaxes(title_text=up)
    return figure.update_layout(height=HEIGHT, showlegend=True)


def _line(
    x: list[float], y: list[float], name: str, colour: str, dash: str = "solid"
) -> go.Scatter:
    line = {"width": 2, "color": colour, "dash": dash}
    return go.Scatter(x=x, y=y, name=name, mode="lines", line=line)


def _empty() -> go.Figure:
    text = {"text": "not measured", "showarrow": False}
    return go.Figure().update_layout(height=HEIGHT, annotations=[text])
