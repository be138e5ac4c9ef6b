"""What datasets hold: their elements, and how sizes, energies, forces and pressures spread."""

import math
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from ase.data import chemical_symbols

from irrepress.data.summary.records import DatasetSummary, Distribution, ElementCount
from irrepress.report import periodic_table, theme
from irrepress.report.figures.panel import HEIGHT, Panel, log_axis
from irrepress.report.study import Study
from irrepress.report.text import number, plural

# With more elements than this, a periodic table shows them better than bars do.
_MOST_BARS = 6
_CELL = 34  # px, height of a cell of the periodic table


@dataclass(frozen=True)
class _Quantity:
    """A distribution that is drawn.

    Attributes:
        field: field of the summary.
        title: title of the axis.
        unit: unit of the axis.
        counted: what the values belong to, a singular noun.
        label: the label that they come from, with its article.
        logarithmic: the axis.
    """

    field: str
    title: str
    unit: str
    counted: str
    label: str | None = None
    logarithmic: bool = False


_QUANTITIES = {
    "sizes": _Quantity("sizes", "atoms of a structure", "", "structure"),
    "energies": _Quantity(
        "energies", "energy less reference energies", "eV/atom", "structure", "an energy"
    ),
    "forces": _Quantity("forces", "force on an atom", "eV/Å", "atom", "forces", True),
    "pressures": _Quantity("pressures", "pressure", "GPa", "structure", "a stress"),
}


def data_panel(study: Study) -> Panel:
    """Elements and distributions of every dataset."""
    figures: dict[tuple[str, ...], go.Figure] = {}
    for name, card in study.data.items():
        figures[name, "elements"] = _elements(card.summary)
        for shown, quantity in _QUANTITIES.items():
            figures[name, shown] = _distribution(card.summary, quantity)
    return Panel(
        name="data",
        description="What a dataset holds: its elements in the periodic table or as bars, or a "
        "histogram of sizes, energies, forces or pressures.",
        choices={"Dataset": list(study.data), "Shown": ["elements", *_QUANTITIES]},
        figures=figures,
    )


def _elements(summary: DatasetSummary) -> go.Figure:
    if len(summary.elements) > _MOST_BARS:
        return _periodic_table(summary.elements)
    symbols = [chemical_symbols[e.number] for e in summary.elements]
    figure = go.Figure(
        go.Bar(
            x=symbols,
            y=[e.atoms for e in summary.elements],
            marker={"color": theme.BLUE},
            text=[f"{e.atoms:,}" for e in summary.elements],
            textposition="outside",
            cliponaxis=False,
            customdata=[_describe(e) for e in summary.elements],
            hovertemplate="%{customdata}<extra></extra>",
        )
    )
    figure.update_xaxes(type="category", showgrid=False)
    largest = max(e.atoms for e in summary.elements)
    figure.update_yaxes(title_text="atoms", range=[0, 1.12 * largest], tickformat=",")
    figure.update_layout(height=HEIGHT - 80, bargap=0.45)
    return figure


def _periodic_table(elements: list[ElementCount]) -> go.Figure:
    shape = periodic_table.ROWS, periodic_table.COLUMNS
    values, absent = np.full(shape, np.nan), np.full(shape, np.nan)
    symbols, hover = np.full(shape, "", dtype=object), np.full(shape, "", dtype=object)
    held = {element.number: element for element in elements}
    for atomic_number in range(1, 119):
        place = periodic_table.place(atomic_number)
        symbols[place] = chemical_symbols[atomic_number]
        if element := held.get(atomic_number):
            values[place] = math.log10(element.structures)
            hover[place] = _describe(element)
        else:
            absent[place] = 0
    most = max(element.structures for element in elements)
    ticks = [10**power for power in range(math.floor(math.log10(most)) + 1)]
    if most > 1.8 * ticks[-1]:
        ticks.append(most)
    figure = go.Figure(
        [
            go.Heatmap(
                z=absent,
                colorscale=[[0, _faint(theme.GREY)], [1, _faint(theme.GREY)]],
                showscale=False,
                text=np.where(np.isnan(absent), "", symbols),
                texttemplate="%{text}",
                textfont={"color": theme.GREY},
                hoverinfo="skip",
                meta="symbols",
                xgap=2,
                ygap=2,
            ),
            go.Heatmap(
                z=values,
                zmin=0,
                zmax=math.log10(max(most, 2)),
                colorscale=theme.SEQUENTIAL,
                text=np.where(np.isnan(values), "", symbols),
                texttemplate="%{text}",
                customdata=hover,
                hovertemplate="%{customdata}<extra></extra>",
                hoverongaps=False,
                meta="symbols",
                xgap=2,
                ygap=2,
                # In the gap above the transition metals.
                colorbar={
                    "orientation": "h",
                    "title": {"text": "structures", "side": "top"},
                    "tickvals": [math.log10(tick) for tick in ticks],
                    "ticktext": [f"{tick:,}" for tick in ticks],
                    "outlinewidth": 0,
                    "thickness": 10,
                    "len": 0.48,
                    "x": 0.41,
                    "xanchor": "center",
                    "y": 1,
                    "yanchor": "top",
                },
            ),
        ]
    )
    hidden = {"visible": False, "fixedrange": True, "automargin": False}
    figure.update_xaxes(range=[-0.5, shape[1] - 0.5], **hidden)
    figure.update_yaxes(range=[shape[0] - 0.5, -0.5], **hidden)
    figure.update_layout(height=30 + _CELL * shape[0])
    return figure


def _describe(element: ElementCount) -> str:
    lines = [
        f"<b>{chemical_symbols[element.number]}</b>",
        f"{plural(element.atoms, 'atom')} in {plural(element.structures, 'structure')}",
    ]
    if not element.train_structures:
        lines.append("none in the train part")
    if element.reference_energy is not None:
        lines.append(f"reference energy {element.reference_energy:,.3f} eV")
    return "<br>".join(lines)


def _distribution(summary: DatasetSummary, quantity: _Quantity) -> go.Figure:
    distribution: Distribution | None = getattr(summary, quantity.field)
    if distribution is None or not distribution.counts:
        return _nothing(
            f"No structure is labelled<br>with {quantity.label}."
            if distribution is None
            else f"All {quantity.field} are zero."
        )
    edges, counts = distribution.edges, distribution.counts
    figure = go.Figure(
        go.Scatter(
            # The last bin ends at the last edge; lines go down to the axis at both ends.
            x=[edges[0], *edges],
            y=[0, *counts, 0],
            mode="lines",
            line={"shape": "hv", "width": 1.5, "color": theme.BLUE},
            fill="tozeroy",
            fillcolor=_faint(theme.BLUE, 0.25),
            name=f"{quantity.counted}s",
            text=["", *(_bin_text(edges, i, quantity) for i in range(len(counts))), ""],
            customdata=[0, *counts, 0],
            hovertemplate="%{text}<br>%{customdata:,} " + quantity.counted + "s<extra></extra>",
        )
    )
    top = 1.08 * max(counts)
    marks = {"median": ("0.5",), "1 % and 99 %": ("0.01", "0.99")}
    for (name, shares), dash in zip(marks.items(), ("solid", "dot"), strict=True):
        values = [distribution.quantiles[share] for share in shares]
        figure.add_trace(_marks(f"{name}: {_listed(values)}", values, edges, top, dash))
    beside = [
        f"{count:,} further {side}"
        for count, side in ((distribution.below, "left"), (distribution.above, "right"))
        if count
    ]
    title = quantity.title + (f" [{quantity.unit}]" if quantity.unit else "")
    if beside:
        note = f"not shown: {', '.join(beside)}"
        title += f'<br><span style="font-size: 11px">{note}</span>'
    figure.update_xaxes(title_text=title)
    if quantity.logarithmic:
        figure.update_xaxes(
            range=[math.log10(edges[0]), math.log10(edges[-1])], **log_axis([edges[0], edges[-1]])
        )
    else:
        figure.update_xaxes(range=[edges[0], edges[-1]])
    figure.update_yaxes(title_text=f"{quantity.counted}s", range=[0, top], tickformat=",")
    figure.update_layout(height=HEIGHT, showlegend=True, hovermode="closest")
    return figure


def _marks(name: str, values: list[float], edges: list[float], top: float, dash: str) -> go.Scatter:
    """Vertical lines at values; those beside the axis are named only."""
    inside = [v for v in values if edges[0] <= v <= edges[-1]]
    return go.Scatter(
        x=[x for v in inside for x in (v, v, None)] or [None],
        y=[y for _ in inside for y in (0, top, None)] or [None],
        mode="lines",
        line={"width": 1.5, "color": theme.ORANGE, "dash": dash},
        name=name,
        hoverinfo="skip",
    )


def _bin_text(edges: list[float], index: int, quantity: _Quantity) -> str:
    low, high = edges[index], edges[index + 1]
    if quantity.field == "sizes":
        first, last = math.ceil(low), math.floor(high)
        return plural(first, "atom") if first == last else f"{first} to {last} atoms"
    return f"{number(low)} to {number(high)} {quantity.unit}"


def _listed(values: list[float]) -> str:
    return ", ".join(f"{v:,.0f}" if v == round(v) else number(v) for v in values)


def _nothing(text: str) -> go.Figure:
    figure = go.Figure(
        go.Scatter(x=[0], y=[0], mode="text", text=[text], textfont={"size": 14}, hoverinfo="skip")
    )
    figure.update_xaxes(visible=False, fixedrange=True, range=[-1, 1])
    figure.update_yaxes(visible=False, fixedrange=True, range=[-1, 1])
    figure.update_layout(height=300)
    return figure


def _faint(colour: str, opacity: float = 0.13) -> str:
    """Return a colour that lets the background through."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
