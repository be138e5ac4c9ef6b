"""Energy and temperature along molecular dynamics."""

from collections.abc import Sequence

import plotly.graph_objects as go

from irrepress.report import theme
from irrepress.report.figures.panel import HEIGHT, Panel
from irrepress.report.study import DynamicsOf, Study

_SHOWN = {
    "total energy": ("energy", 1e3, "total energy, less that at the beginning [meV/atom]"),
    "temperature": ("temperature", 1.0, "temperature [K]"),
}


def dynamics_panel(study: Study) -> Panel | None:
    """Energy and temperature along the runs on each dataset; None without any."""
    if not study.dynamics:
        return None
    models = list(dict.fromkeys(run.model for run in study.dynamics))
    datasets = list(dict.fromkeys(run.measured.dataset for run in study.dynamics))
    figures: dict[tuple[str, ...], go.Figure] = {}
    for model in models:
        for dataset in datasets:
            runs = [
                run
                for run in study.dynamics
                if (run.model, run.measured.dataset) == (model, dataset)
            ]
            for shown in _SHOWN:
                figures[model, dataset, shown] = _along(runs, shown)
    return Panel(
        name="dynamics",
        description="Line chart of energy or temperature against time in molecular dynamics.",
        choices={"Model": models, "Dataset": datasets, "Shown": list(_SHOWN)},
        figures=figures,
    )


def _along(runs: Sequence[DynamicsOf], shown: str) -> go.Figure:
    attribute, factor, title = _SHOWN[shown]
    figure = go.Figure()
    colours = iter(theme.CYCLE * len(runs))
    for run in runs:
        trace = run.measured.trace
        figure.add_trace(
            go.Scatter(
                x=trace.picoseconds,
                y=[factor * value for value in getattr(trace, attribute)],
                name="parent" if run.is_parent else f"{run.plan}, {run.name}",
                mode="lines",
                line={
                    "width": 2,
                    "color": theme.PARENT_COLOUR if run.is_parent else next(colours),
                    "dash": "dot" if run.is_parent else "solid",
                },
                hovertemplate="<b>%{fullData.name}</b><br>%{x:.3~g} ps: %{y:.4~g}<extra></extra>",
            )
        )
    figure.update_xaxes(title_text="time [ps]", rangemode="tozero")
    figure.update_yaxes(title_text=title)
    if shown == "total energy":
        _show_motion(figure, runs)
    figure.update_layout(height=HEIGHT, showlegend=True)
    return figure


def _show_motion(figure: go.Figure, runs: Sequence[DynamicsOf]) -> None:
    """Let the axis span how much the kinetic energy varies, beside which changes are small."""
    kinetic = [1e3 * (run.measured.kinetic_fluctuation or 0) for run in runs]
    drawn = [abs(y) for line in figure.data for y in line.y]
    half = 1.1 * max([*kinetic, *drawn])
    if half > 0:
        figure.update_yaxes(range=[-half, half])
