"""Error against cost: every model, the parent, and the Pareto front."""

import itertools
import math

import pandas as pd
import plotly.graph_objects as go

from irrepress.report import tables, theme
from irrepress.report.figures.panel import HEIGHT, Panel, log_axis
from irrepress.report.study import Study, TaskRun
from irrepress.study.paths import PARENT_PLAN, PARENT_STAGE
from irrepress.study.recipes import Recipe

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


# Columns that tell plans apart.
_RECIPE = ["criterion", "axes", "allocation"]

_SYMBOLS = {"both": "circle", "channels": "diamond", "explicit": "square"}


# Of models that are there to compare with.
_OTHER_COLOURS = (theme.PURPLE, theme.ORANGE, theme.PINK, theme.GREY)


# What is drawn into the symbol.
_ALLOCATION_MARKS = {"greedy": "", "uniform": "-x", "iterated": "-cross", "measured": "-dot"}


_AXES_TEXT = {
    "both": "channels and orders",
    "channels": "channels only",
    "explicit": "explicit irreps",
}


def pareto_panel(study: Study) -> Panel:
    """Error against cost for every stage of every plan, with the parent and the front."""
    errors = tables.errors_table(study)
    cost = tables.cost_table(study)
    points = errors.merge(cost, on=["model", "plan", "stage"])
    recipes = {name: _drawn(recipe) for name, recipe in study.config.plans().items()}
    drawn = [recipes.get(plan, ("parent", "both", "greedy")) for plan in points["plan"]]
    points[_RECIPE] = pd.DataFrame(drawn, columns=_RECIPE, index=points.index)
    trained = {
        (run.model, run.plan, run.name): isinstance(run, TaskRun) or run.stage.is_trained
        for run in tables.with_finals(study)
    }
    names = points[["model", "plan", "stage"]].itertuples(index=False, name=None)
    points["trained"] = [trained[name] for name in names]
    quantities = {
        f"{quantity}, vs {reference}": tables.error_column(quantity, "mae", reference)
        for reference in ("labels", "parent")
        for quantity in ("forces", "energy", "stress")
    }
    shown = {
        label: column
        for label, column in quantities.items()
        if points.loc[points["plan"] != PARENT_PLAN, column].notna().any()
    }
    # Errors on different structures share no axis.
    splits = {f"{dataset}, test": dataset for dataset in dict.fromkeys(points["dataset"])}
    choices = {
        "Model": study.config.compressed_models(),
        **({"Structures": list(splits)} if len(splits) > 1 else {}),
        "Cost": list(COST_AXES),
        "Error": list(shown),
    }
    figures: dict[tuple[str, ...], go.Figure] = {}
    for model in study.config.compressed_models():
        for split, dataset in splits.items():
            chosen = points[(points["model"] == model) & (points["dataset"] == dataset)]
            others = _others(points[points["dataset"] == dataset], study, model)
            for axis in COST_AXES:
                for label, column in shown.items():
                    key = (model, split, axis, label) if len(splits) > 1 else (model, axis, label)
                    # Others are compared with labels; each agrees with itself.
                    figures[key] = _pareto(
                        chosen, axis, column, others if label.endswith("labels") else others[:0]
                    )
    return Panel(
        name="pareto",
        description="Scatter plot of the mean absolute error of every model against its cost; "
        "models on the Pareto front are joined by a line.",
        choices=choices,
        figures=figures,
    )


def _drawn(recipe: Recipe) -> tuple[str, str, str]:
    """Return what tells plans apart in the chart: criterion, axes and allocation."""
    if recipe.budget is None:
        return recipe.criterion, "explicit", "greedy"
    return recipe.criterion, recipe.axes, str(recipe.allocation)


def _others(points: pd.DataFrame, study: Study, model: str) -> pd.DataFrame:
    """Return the other uncompressed models, with costs relative to a model's parent.

    Times are known where they were taken on equal terms, and FLOPs within a family, whose rules
    they are counted by; elsewhere they are NaN.
    """
    parents = points[(points["plan"] == PARENT_PLAN) & (points["stage"] == PARENT_STAGE)]
    own = parents[parents["model"] == model]
    others = parents[parents["model"] != model].copy()
    if own.empty:  # only what was fine-tuned is tested on these structures
        return others[:0]
    own = own.iloc[0]
    terms = ["atoms timed", "device", "threads"]
    alike = (others[terms] == own[terms]).all(axis=1)
    time, flops = "time per call [ms]", "FLOPs per atom [MFLOP]"
    others["time ratio"] = (others[time] / own[time]).where(alike)
    others["speed-up"] = 1 / others["time ratio"]
    family = others["model"].map(lambda name: study.config.models[name].family)
    same = family == study.config.models[model].family
    others["FLOPs ratio"] = (others[flops] / own[flops]).where(same)
    return others


def pareto_front(points: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Return the rows that no other row beats in both columns (less is better), by ``x``."""
    best = math.inf
    front = []
    for index, row in points.dropna(subset=[x, y]).sort_values([x, y]).iterrows():
        if row[y] < best:
            best = row[y]
            front.append(index)
    return points.loc[front]


def _pareto(points: pd.DataFrame, axis: str, column: str, others: pd.DataFrame) -> go.Figure:
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
    compressed = visible[visible["plan"] != PARENT_PLAN]
    for made, group in compressed.groupby(_RECIPE, sort=False):
        criterion, axes, allocation = made
        spread = "" if allocation == "greedy" else f", {allocation}"
        trained = group["trained"]
        colour = theme.CRITERION_COLOURS.get(criterion, theme.GREY)
        for part, rows in ((", pruned", group[~trained]), (", trained", group[trained])):
            if rows.empty:
                continue
            opened = "-open" if part == ", pruned" else ""
            mark = _ALLOCATION_MARKS[allocation]
            # Plotly knows circle-cross-open, but circle-open-dot.
            symbol = _SYMBOLS[axes] + (opened + mark if mark == "-dot" else mark + opened)
            name = f"{criterion}, {_AXES_TEXT[axes]}{spread}{part}"
            figure.add_trace(_points(rows, x, column, name, symbol, colour))
    of_parent = visible[visible["plan"] == PARENT_PLAN]
    parent = of_parent[of_parent["stage"] == PARENT_STAGE]
    below = points[(points["stage"] == PARENT_STAGE) & (points[column] == 0)]
    tuned = of_parent[of_parent["stage"] != PARENT_STAGE]
    if not tuned.empty:
        name = "parent, fine-tuned"
        figure.add_trace(_points(tuned, x, column, name, "star-open", theme.PARENT_COLOUR, 15))
    if not parent.empty:
        figure.add_trace(_points(parent, x, column, "parent", "star", theme.PARENT_COLOUR, 15))
    elif not below.empty or visible.empty:
        figure.add_annotation(
            text="No errors of this kind were measured."
            if visible.empty
            else "The parent's error is 0 here: below a logarithmic axis.",
            xref="paper",
            yref="paper",
            x=1,
            y=0.01,
            xanchor="right",
            yanchor="bottom",
            showarrow=False,
            font={"size": 12},
        )
    drawn = others[(others[column] > 0) & others[x].notna()]
    heights = [*visible[column], *drawn[column]]
    if heights and not below.empty:
        figure.add_trace(_below(below[x].iloc[0], heights))
    for colour, (name, rows) in zip(
        itertools.cycle(_OTHER_COLOURS), drawn.groupby("model", sort=False), strict=False
    ):
        named = rows.assign(plan=name)
        figure.add_trace(_points(named, x, column, name, "star-diamond", colour, 13))
    figure.update_xaxes(title_text=_COST_TITLES[axis], rangemode="tozero")
    figure.update_yaxes(title_text=column, **log_axis(heights))
    figure.update_layout(height=HEIGHT + 40)
    return figure


def _below(cost: float, drawn: list[float]) -> go.Scatter:
    """Return a line at the cost of the parent, whose error is below the axis."""
    return go.Scatter(
        x=[cost, cost],
        y=[min(drawn), max(drawn)],
        mode="lines",
        line={"color": theme.PARENT_COLOUR, "width": 1.5, "dash": "dash"},
        name="parent, whose error is 0",
        hoverinfo="skip",
    )


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
