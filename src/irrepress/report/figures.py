"""The figures of the report. A panel is a set of figures that readers choose among.

Figures carry no template: the page gives them the one that fits its colour scheme.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from irrepress.report import tables, theme
from irrepress.report.study import GroupScores, Run, Study, TaskRun

HEIGHT = 460
ROW_HEIGHT = 30  # of one bar or one row of a heat map

COST_AXES = {
    "time": "time ratio",
    "FLOPs": "FLOPs ratio",
    "parameters": "parameters",
}
_COST_TITLES = {
    "time": "time relative to the parent",
    "FLOPs": "FLOPs relative to the parent",
    "parameters": "parameters",
}
_SYMBOLS = {"both": "circle", "channels": "diamond", "explicit": "square"}
_AXES_TEXT = {
    "both": "channels and orders",
    "channels": "channels only",
    "explicit": "explicit irreps",
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


@dataclass(frozen=True)
class _Curve:
    """A training curve and how it is drawn."""

    name: str
    data: pd.DataFrame
    colour: str
    dash: str = "solid"


def pareto_panel(study: Study) -> Panel:
    """Error against cost for every stage of every plan, with the parent and the front."""
    errors = tables.errors_table(study)
    cost = tables.cost_table(study)
    points = errors.merge(cost, on=["model", "plan", "stage"])
    recipes = study.config.plans()
    points["criterion"] = [recipes.get(p, {}).get("criterion", "parent") for p in points["plan"]]
    points["axes"] = [
        "explicit" if "explicit" in (r := recipes.get(p, {})) else r.get("axes", "both")
        for p in points["plan"]
    ]
    quantities = {
        f"{quantity}, vs {reference}": tables.error_column(quantity, "mae", reference)
        for reference in ("labels", "parent")
        for quantity in ("forces", "energy", "stress")
    }
    shown = {
        label: column
        for label, column in quantities.items()
        if points.loc[points["plan"] != "parent", column].notna().any()
    }
    return Panel(
        name="pareto",
        description="Scatter plot of the mean absolute error of every model against its cost; "
        "models on the Pareto front are joined by a line.",
        choices={
            "Model": list(study.config.models),
            "Cost": list(COST_AXES),
            "Error": list(shown),
        },
        figures={
            (model, axis, label): _pareto(points[points["model"] == model], axis, column)
            for model in study.config.models
            for axis in COST_AXES
            for label, column in shown.items()
        },
    )


def pareto_front(points: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Return the rows that no other row beats in both columns (less is better), by ``x``."""
    best = math.inf
    front = []
    for index, row in points.dropna(subset=[x, y]).sort_values([x, y]).iterrows():
        if row[y] < best:
            best = row[y]
            front.append(index)
    return points.loc[front]


def importance_panel(study: Study) -> Panel:
    """Heat maps of the mean score per site, order and layer, one per criterion."""
    return Panel(
        name="importance",
        description="Heat map of the mean importance score of the blocks at every site and "
        "order (rows) and layer (columns).",
        choices={
            "Model": list(study.config.models),
            "Criterion": list(study.config.sweep.criteria),
        },
        figures={key: _importance(scores) for key, scores in study.scores.items()},
    )


def kept_panel(study: Study) -> Panel | None:
    """Heat maps of the fraction of channels that stay, one per plan; None without plans."""
    if not study.plans:
        return None
    criterion = study.config.sweep.criteria[0]
    return Panel(
        name="kept",
        description="Heat map of the fraction of channels kept at every site and order (rows) "
        "and layer (columns).",
        choices={"Model": list(study.config.models), "Plan": list(study.config.plans())},
        figures={
            (model, plan): _kept(study.scores[model, criterion], study.plans[model, plan].groups)
            for model, plan in study.plans
        },
    )


TRAINING_QUANTITIES = {
    "forces MAE": ("valid_forces_mae", 1e3, "validation forces MAE [meV/Å]"),
    "energy MAE": ("valid_energy_mae", 1e3, "validation energy MAE [meV/atom]"),
    "validation loss": ("valid_loss", 1.0, "validation loss"),
    "training loss": ("train_loss", 1.0, "training loss"),
}


def training_panel(study: Study) -> Panel | None:
    """Training curves of recovery and distillation; None if nothing was trained."""
    trained = [run for run in study.runs if run.training is not None]
    if not trained:
        return None
    figures = {}
    for model in study.config.models:
        curves = list(_training_curves(r for r in trained if r.model == model))
        for label, (column, factor, title) in TRAINING_QUANTITIES.items():
            figures[model, label] = _curves(curves, column, factor, title)
    return Panel(
        name="training",
        description="Line chart of errors on the validation split against training steps.",
        choices={"Model": list(study.config.models), "Shown": list(TRAINING_QUANTITIES)},
        figures=figures,
    )


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
    """Bars of downstream errors on a logarithmic axis; None without downstream datasets."""
    table = tables.downstream_table(study)
    if table.empty:
        return None
    own = table[(table["source"] == tables.OWN_SOURCE) & (table["dataset"] != tables.MEAN)]
    compressed = list(dict.fromkeys((r.model, r.plan, r.stage) for r in own.itertuples()))
    figures = {}
    for model, plan, stage in compressed:
        rows = own[(own["model"] == model) & (own["plan"] == plan) & (own["stage"] == stage)]
        for quantity in tables.PAPER_REDUCTIONS:
            figures[f"{model}, {plan}", quantity] = _downstream(rows, quantity)
    return Panel(
        name="downstream",
        description="Bar chart of test errors on every downstream dataset for training from "
        "scratch, the fine-tuned compressed model and the fine-tuned parent.",
        choices={
            "Compressed model": [f"{model}, {plan}" for model, plan, _ in compressed],
            "Error": list(tables.PAPER_REDUCTIONS),
        },
        figures=figures,
    )


def downstream_training_panel(study: Study) -> Panel | None:
    """Training curves on the downstream datasets; None without them."""
    compressed = [t for t in study.tasks if t.plan != "parent"]
    if not compressed or study.config.downstream is None:
        return None
    shown = ("forces MAE", "energy MAE")
    models = list(dict.fromkeys(f"{t.model}, {t.plan}" for t in compressed))
    figures = {}
    for name in models:
        for dataset in study.config.downstream.datasets:
            curves = _task_curves(study, name, dataset)
            for label in shown:
                figures[name, dataset, label] = _curves(curves, *TRAINING_QUANTITIES[label])
    return Panel(
        name="downstream-training",
        description="Line chart of validation errors against training steps on one dataset.",
        choices={
            "Compressed model": models,
            "Dataset": list(study.config.downstream.datasets),
            "Shown": list(shown),
        },
        figures=figures,
    )


def _pareto(points: pd.DataFrame, axis: str, column: str) -> go.Figure:
    x = COST_AXES[axis]
    figure = go.Figure()
    visible = points[points[column] > 0]  # the axis is logarithmic
    front = pareto_front(visible, x, column)
    figure.add_trace(
        go.Scatter(
            x=front[x],
            y=front[column],
            mode="lines",
            line={"color": theme.GREY, "width": 1.5, "dash": "dot"},
            name="Pareto front",
            hoverinfo="skip",
        )
    )
    compressed = visible[visible["plan"] != "parent"]
    for (criterion, axes), group in compressed.groupby(["criterion", "axes"], sort=False):
        trained = group["stage"] != "pruned"
        colour = theme.CRITERION_COLOURS.get(criterion, theme.GREY)
        for part, rows in ((", pruned", group[~trained]), (", trained", group[trained])):
            if rows.empty:
                continue
            symbol = _SYMBOLS[axes] + ("-open" if part == ", pruned" else "")
            figure.add_trace(
                _points(rows, x, column, f"{criterion}, {_AXES_TEXT[axes]}{part}", symbol, colour)
            )
    parent = visible[visible["plan"] == "parent"]
    if not parent.empty:
        figure.add_trace(_points(parent, x, column, "parent", "star", theme.PARENT_COLOUR, 15))
    else:
        figure.add_annotation(
            text="The parent's error is 0 here: below a logarithmic axis.",
            xref="paper",
            yref="paper",
            x=1,
            y=0.01,
            xanchor="right",
            yanchor="bottom",
            showarrow=False,
            font={"size": 12},
        )
    figure.update_xaxes(title_text=_COST_TITLES[axis], rangemode="tozero")
    figure.update_yaxes(title_text=column, **_log_axis(visible[column]))
    figure.update_layout(height=HEIGHT + 40)
    return figure


def _points(
    rows: pd.DataFrame, x: str, y: str, name: str, symbol: str, colour: str, size: int = 10
) -> go.Scatter:
    text = rows["plan"] + ", " + rows["stage"]
    return go.Scatter(
        x=rows[x],
        y=rows[y],
        mode="markers",
        name=name,
        text=text,
        marker={
            "symbol": symbol,
            "color": colour,
            "size": size,
            "line": {"width": 1.8, "color": colour},
        },
        customdata=rows[["parameters", "speed-up"]],
        hovertemplate="<b>%{text}</b><br>error %{y:.3~g}<br>%{customdata[0]:,} parameters<br>"
        "%{customdata[1]:.2f}× as fast as the parent<extra></extra>",
    )


def _log_axis(values: Iterable[float]) -> dict[str, object]:
    """A logarithmic axis with whole numbers at its ticks: 1, 2, 5, 10, or powers of ten only."""
    positive = [v for v in values if v > 0 and math.isfinite(v)]
    if not positive:
        return {"type": "log"}
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    steps = (1, 2, 5) if high - low <= 3 else (1,)
    ticks = [step * 10.0**power for power in range(low - 1, high + 1) for step in steps]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:,.10g}" for tick in ticks]}


@dataclass(frozen=True)
class _Grid:
    """Columns and rows of a heat map: layers, and sites by irrep.

    Orders of the filter, which all layers share, have a column of their own and come last.
    """

    columns: list[str]
    rows: list[str]

    @classmethod
    def of(cls, scores: Sequence[GroupScores]) -> "_Grid":
        layered = sorted((s for s in scores if s.axis == "channel"), key=lambda s: s.layer)
        sites = list(dict.fromkeys(s.site for s in layered))
        ranked = sorted(layered, key=lambda s: (sites.index(s.site), s.irrep))
        ranked += sorted((s for s in scores if s.axis == "order"), key=lambda s: s.irrep)
        columns = [*layered, *(s for s in scores if s.axis == "order")]
        return cls(
            columns=list(dict.fromkeys(cls.column(s) for s in columns)),
            rows=list(dict.fromkeys(cls.row(s) for s in ranked)),
        )

    @staticmethod
    def column(scores: GroupScores) -> str:
        return "all" if scores.axis == "order" else str(scores.layer)

    @staticmethod
    def row(scores: GroupScores) -> str:
        return f"{scores.site} {scores.irrep}"

    def place(self, scores: GroupScores) -> tuple[int, int]:
        """Row and column of a group."""
        return self.rows.index(self.row(scores)), self.columns.index(self.column(scores))

    def empty(self) -> tuple[np.ndarray, np.ndarray]:
        """Values and texts of a map without any."""
        shape = len(self.rows), len(self.columns)
        return np.full(shape, np.nan), np.full(shape, "", dtype=object)


def _heat_map(
    grid: _Grid, values: np.ndarray, text: np.ndarray, hover: str, **style: object
) -> go.Figure:
    figure = go.Figure(
        go.Heatmap(
            x=grid.columns,
            y=grid.rows,
            z=values,
            text=text,
            texttemplate="%{text}",
            hovertemplate=hover,
            colorscale=theme.SEQUENTIAL,
            xgap=2,
            ygap=2,
            **style,
        )
    )
    figure.update_xaxes(title_text="layer", type="category", showgrid=False, showline=False)
    figure.update_yaxes(
        type="category", autorange="reversed", showgrid=False, showline=False, ticks=""
    )
    figure.update_layout(height=120 + ROW_HEIGHT * len(grid.rows))
    return figure


def _importance(scores: list[GroupScores]) -> go.Figure:
    grid = _Grid.of(scores)
    values, text = grid.empty()
    for group in scores:
        place = grid.place(group)
        mean = float(group.scores.mean()) if group.scores.size else 0.0
        if mean > 0:
            values[place] = math.log10(mean)
            text[place] = f"{mean:.1e}"
    finite = values[np.isfinite(values)]
    low, high = (math.floor(finite.min()), math.ceil(finite.max())) if finite.size else (0, 1)
    ticks = list(range(low, high + 1))
    return _heat_map(
        grid,
        values,
        text,
        "%{y}, layer %{x}<br>mean score %{text}<extra></extra>",
        colorbar={
            "title": {"text": "mean score", "side": "right"},
            "tickvals": ticks,
            "ticktext": [f"1e{tick}" for tick in ticks],
            "outlinewidth": 0,
            "thickness": 12,
        },
    )


def _kept(scores: list[GroupScores], groups: dict) -> go.Figure:
    grid = _Grid.of(scores)
    values, text = grid.empty()
    for group in scores:
        if (entry := groups.get(group.group)) is None:
            continue
        place = grid.place(group)
        kept = entry.kept()
        values[place] = 100 * kept / entry.channels
        text[place] = f"{kept}/{entry.channels}"
    return _heat_map(
        grid,
        values,
        text,
        "%{y}, layer %{x}<br>%{text} channels kept (%{z:.0f} %)<extra></extra>",
        zmin=0,
        zmax=100,
        colorbar={
            "title": {"text": "channels kept [%]", "side": "right"},
            "outlinewidth": 0,
            "thickness": 12,
        },
    )


def _curves(curves: Iterable[_Curve], column: str, factor: float, title: str) -> go.Figure:
    figure = go.Figure()
    drawn: list[float] = []
    for curve in curves:
        if column not in curve.data or not (curve.data[column] > 0).any():
            continue
        values = curve.data[column] * factor
        drawn += values.dropna().tolist()
        figure.add_trace(
            go.Scatter(
                x=curve.data["step"],
                y=values,
                name=curve.name,
                mode="lines+markers",
                marker={"size": 5},
                line={"width": 2, "color": curve.colour, "dash": curve.dash},
                hovertemplate="<b>%{fullData.name}</b><br>step %{x:,}: %{y:.4~g}<extra></extra>",
            )
        )
    figure.update_xaxes(title_text="training step", rangemode="tozero")
    figure.update_yaxes(title_text=title, **_log_axis(drawn))
    figure.update_layout(height=HEIGHT, showlegend=True)
    return figure


def _training_curves(runs: Iterable[Run]) -> Iterator[_Curve]:
    """One curve per plan and stage: plans differ by colour, stages by dash."""
    plans: dict[str, str] = {}
    for run in runs:
        colour = plans.setdefault(run.plan, theme.CYCLE[len(plans) % len(theme.CYCLE)])
        dash = theme.STAGE_DASHES[run.stage]
        yield _Curve(f"{run.plan}, {run.stage}", run.training, colour, dash)


def _task_curves(study: Study, name: str, dataset: str) -> list[_Curve]:
    labels = {"scratch": tables.SCRATCH, "finetuned": tables.FINETUNED}

    def belongs(task: TaskRun) -> bool:
        return task.dataset == dataset and f"{task.model}, {task.plan}" == name

    own = {labels[t.start]: t.training for t in study.tasks if belongs(t)}
    model = next(t.model for t in study.tasks if belongs(t))
    parent = study.find_task(model, "parent", "original", dataset, "finetuned")
    if parent:
        own[tables.PARENT] = parent.training
    return [
        _Curve(label, own[label], colour)
        for label, colour in _DOWNSTREAM_COLOURS.items()
        if label in own
    ]


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


_DOWNSTREAM_COLOURS = {
    tables.SCRATCH: theme.GREY,
    tables.FINETUNED: theme.BLUE,
    tables.PARENT: theme.PARENT_COLOUR,
}


def _downstream(rows: pd.DataFrame, quantity: str) -> go.Figure:
    figure = go.Figure()
    drawn: list[float] = []
    for name, colour in _DOWNSTREAM_COLOURS.items():
        values = rows[tables.task_column(quantity, "mae", name)]
        drawn += values.dropna().tolist()
        figure.add_trace(
            go.Bar(
                x=rows["dataset"],
                y=values,
                name=name,
                marker={"color": colour},
                hovertemplate=f"<b>%{{x}}</b><br>{name}: %{{y:.3~g}} {tables.UNITS[quantity][0]}"
                "<extra></extra>",
            )
        )
    figure.update_xaxes(type="category", showgrid=False)
    axis = _log_axis(drawn)
    if positive := [value for value in drawn if value > 0]:
        # Room below the smallest bar: otherwise it would have no height.
        axis["range"] = [math.log10(min(positive) / 2), math.log10(max(positive) * 1.2)]
    figure.update_yaxes(
        title_text=f"{quantity} MAE on the test split [{tables.UNITS[quantity][0]}]", **axis
    )
    figure.update_layout(height=HEIGHT, barmode="group", bargap=0.3, bargroupgap=0.06)
    return figure
