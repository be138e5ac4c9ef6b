"""Heat maps by site, irrep and layer: importance scores, and channels that stay."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from irrepress.core.plan import Plan
from irrepress.report import theme
from irrepress.report.figures.panel import ROW_HEIGHT, Panel
from irrepress.report.study import GroupScores, Study


def importance_panel(study: Study) -> Panel:
    """Heat maps of the mean score per site, order and layer, one per criterion."""
    return Panel(
        name="importance",
        description="Heat map of the mean importance score of the blocks at every site and "
        "order (rows) and layer (columns).",
        choices={
            "Model": study.config.compressed_models(),
            "Criterion": list(study.config.sweep.criteria),
        },
        figures={key: importance_figure(scores) for key, scores in study.scores.items()},
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
        choices={"Model": study.config.compressed_models(), "Plan": list(study.config.plans())},
        figures={
            (model, plan): kept_figure(study.scores[model, criterion], study.plans[model, plan])
            for model, plan in study.plans
        },
    )


@dataclass(frozen=True)
class _Grid:
    """Columns and rows of a heat map: layers, and sites by irrep.

    Orders and components, which all layers share, have a column of their own and come last.
    """

    columns: list[str]
    rows: list[str]

    @classmethod
    def of(cls, scores: Sequence[GroupScores]) -> "_Grid":
        layered = sorted((s for s in scores if not s.is_shared), key=lambda s: s.layer)
        sites = list(dict.fromkeys(s.site for s in layered))
        ranked = sorted(layered, key=lambda s: (sites.index(s.site), s.irrep))
        shared = [s for s in scores if s.is_shared]
        ranked += sorted(shared, key=lambda s: (s.axis, s.irrep))
        columns = [*layered, *shared]
        return cls(
            columns=list(dict.fromkeys(cls.column(s) for s in columns)),
            rows=list(dict.fromkeys(cls.row(s) for s in ranked)),
        )

    @staticmethod
    def column(scores: GroupScores) -> str:
        return "all" if scores.is_shared else str(scores.layer)

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


def importance_figure(scores: list[GroupScores]) -> go.Figure:
    """Heat map of the mean score at every site, order and layer."""
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


def _dropped(scores: Sequence[GroupScores], plan: Plan) -> set[int]:
    """Return the layers of the unpruned model, up to the last that stays, that a plan drops."""
    if plan.layers is None:
        return set()
    # The last features of networks in which layers hand on features have an index of their own.
    last = plan.layers[-1]
    return {s.layer for s in scores if s.layer <= last} - set(plan.layers)


def _name_in(plan: Plan, group: GroupScores, dropped: set[int]) -> str | None:
    """Return the name of a group of the unpruned model in a plan; None: its layer was dropped."""
    site, *rest = group.group.split(".")
    # Groups that all layers share, and those of readouts, have no layer in their names.
    if not dropped or rest[:1] != [str(group.layer)]:
        return group.group
    if group.layer in dropped:
        return None
    place = group.layer - sum(layer < group.layer for layer in dropped)
    return ".".join([site, str(place), *rest[1:]])


def kept_figure(scores: list[GroupScores], plan: Plan) -> go.Figure:
    """Heat map of the share of channels that a plan keeps at every site, order and layer.

    Columns are layers of the unpruned model. Layers that were dropped keep nothing.
    """
    grid = _Grid.of(scores)
    values, text = grid.empty()
    dropped = _dropped(scores, plan)
    for group in scores:
        name = _name_in(plan, group, dropped)
        if name is not None and name not in plan.keep:
            if plan.layers is None:
                continue
            name = None
        place = grid.place(group)
        kept = 0 if name is None else len(plan.keep[name])
        channels = len(group.scores)
        values[place] = 100 * kept / channels
        text[place] = f"{kept}/{channels}"
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
