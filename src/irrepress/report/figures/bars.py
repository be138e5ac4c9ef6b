"""What models cost as bars, and their errors on downstream datasets as dots."""

import math

import pandas as pd
import plotly.graph_objects as go

from irrepress.report import tables, theme
from irrepress.report.figures.panel import DOWNSTREAM_COLOURS, HEIGHT, ROW_HEIGHT, Panel, log_axis
from irrepress.report.study import Study
from irrepress.report.text import listing

_SYMBOLS = {
    tables.SCRATCH: "x",
    tables.FINETUNED: "circle",
    tables.FINETUNED_PARENT: "star",
    tables.RESTRICTED: "diamond",
}


def cost_panel(study: Study) -> Panel:
    """Bars of time, size and operations of every model."""
    cost = tables.cost_table(study)
    columns = {
        "time per call": ("time ratio", "time per call, relative to the parent"),
        "parameters": ("parameters", "parameters"),
        "FLOPs": ("FLOPs per atom [MFLOP]", "FLOPs per atom of one energy [MFLOP]"),
        "file size": ("file [MB]", "size on disk [MB]"),
    }
    return Panel(
        name="cost",
        description="Bar chart of what each model costs.",
        choices={"Model": list(study.config.models), "Shown": list(columns)},
        figures={
            (model, label): _bars(cost[cost["model"] == model], column, title)
            for model in study.config.models
            for label, (column, title) in columns.items()
        },
    )


def downstream_panel(study: Study) -> Panel | None:
    """Dots of downstream errors on a logarithmic axis; None without downstream datasets.

    Lengths of bars would mean nothing on such an axis, which has no zero.
    """
    table = tables.downstream_table(study)
    if table.empty:
        return None
    own = table[(table["source"] == tables.OWN_SOURCE) & ~table["dataset"].isin(tables.SUMMARIES)]
    compressed = list(dict.fromkeys((r.model, r.plan, r.stage) for r in own.itertuples()))
    figures: dict[tuple[str, ...], go.Figure] = {}
    for model, plan, stage in compressed:
        rows = own[(own["model"] == model) & (own["plan"] == plan) & (own["stage"] == stage)]
        for quantity in tables.PAPER_REDUCTIONS:
            figures[f"{model}, {plan}", quantity] = _downstream(rows, quantity)
    return Panel(
        name="downstream",
        description="Chart of test errors on every downstream dataset of "
        f"{listing(tables.trainings_of(study.config))}.",
        choices={
            "Compressed model": [f"{model}, {plan}" for model, plan, _ in compressed],
            "Error": list(tables.PAPER_REDUCTIONS),
        },
        figures=figures,
    )


def _bars(rows: pd.DataFrame, column: str, title: str) -> go.Figure:
    labels = [
        plan if plan == "parent" else f"{plan}, {stage}"
        for plan, stage in zip(rows["plan"], rows["stage"], strict=True)
    ]
    colours = [theme.PARENT_COLOUR if p == "parent" else theme.BLUE for p in rows["plan"]]
    values = rows[column]
    figure = go.Figure(
        go.Bar(
            x=values,
            y=labels,
            orientation="h",
            marker={"color": colours},
            text=[f"{v:,.0f}" if v >= 1000 else f"{v:.3g}" for v in values],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="<b>%{y}</b><br>%{text}<extra></extra>",
        )
    )
    if (
        "packed file [MB]" in rows
        and column == "file [MB]"
        and rows["packed file [MB]"].notna().any()
    ):
        packed = rows["packed file [MB]"]
        figure.data[0].name = "as the family's own file"
        figure.add_trace(
            go.Bar(
                x=packed,
                y=labels,
                orientation="h",
                name="packed for storage",
                marker={"color": theme.GREEN},
                text=["" if math.isnan(v) else f"{v:.3g}" for v in packed],
                textposition="outside",
                cliponaxis=False,
                hovertemplate="<b>%{y}</b><br>%{text} MB packed<extra></extra>",
            )
        )
    figure.update_xaxes(title_text=title, rangemode="tozero", range=[0, 1.14 * values.max()])
    figure.update_yaxes(autorange="reversed", showgrid=False, showline=False, ticks="")
    figure.update_layout(
        height=110 + ROW_HEIGHT * len(rows), bargap=0.28, showlegend=len(figure.data) > 1
    )
    return figure


def _downstream(rows: pd.DataFrame, quantity: str) -> go.Figure:
    figure = go.Figure()
    drawn: list[float] = []
    for name, colour in DOWNSTREAM_COLOURS.items():
        values = rows[tables.task_column(quantity, "mae", name)]
        if values.isna().all():  # a baseline that is not configured
            continue
        drawn += values.dropna().tolist()
        figure.add_trace(
            go.Scatter(
                x=rows["dataset"],
                y=values,
                name=name,
                mode="markers",
                marker={"color": colour, "size": 12, "symbol": _SYMBOLS[name]},
                hovertemplate=f"<b>%{{x}}</b><br>{name}: %{{y:.3~g}} {tables.UNITS[quantity][0]}"
                "<extra></extra>",
            )
        )
    figure.update_xaxes(type="category")
    axis = log_axis(drawn)
    if positive := [value for value in drawn if value > 0]:
        # At least a decade: a single value would else fill the axis, and small differences, too.
        low, high = math.log10(min(positive)), math.log10(max(positive))
        margin = max(0.1, (1 - (high - low)) / 2)
        axis["range"] = [low - margin, high + margin]
    figure.update_yaxes(
        title_text=f"{quantity} MAE on the test split [{tables.UNITS[quantity][0]}]", **axis
    )
    figure.update_layout(height=HEIGHT, showlegend=True)
    return figure
