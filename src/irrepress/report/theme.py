"""Colours and layout shared by all figures, for light and dark pages.

Data colours are of middle lightness, so that they stand out by at least 3:1 on both
backgrounds, and differ by lightness as well as by hue (after Okabe and Ito's palette for
colour-blind readers); markers and dashes repeat what colours say.
"""

from typing import Any

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'

BLUE, ORANGE, GREEN, PINK, GREY, RED, PURPLE = (
    "#2f7fc1",
    "#c97700",
    "#0c9a72",
    "#c2609a",
    "#7f8790",
    "#d04a1c",
    "#8a6fd1",
)
CRITERION_COLOURS = {
    "taylor": BLUE,
    "fisher": GREEN,
    "hessian": PURPLE,
    "magnitude": ORANGE,
    "activation": PINK,
    "random": GREY,
}
PARENT_COLOUR = RED
CYCLE = (BLUE, ORANGE, GREEN, PINK, GREY, PURPLE, "#a08a00", "#2f93a8")
STAGE_DASHES = {"recovered": "solid", "distilled": "dash", "refined": "dot"}
# from little to much; even in lightness (cividis, by Nuñez, Anderton and Renslow)
SEQUENTIAL = "Cividis"

_LIGHT = {"text": "#2b333d", "muted": "#5b6673", "grid": "#e4e8ec", "line": "#aab3bd"}
_DARK = {"text": "#d9dfe6", "muted": "#9aa5b1", "grid": "#2a323b", "line": "#56616d"}


def templates() -> dict[str, dict[str, Any]]:
    """Return plotly templates by name of the colour scheme, ``light`` and ``dark``."""
    return {"light": _template(_LIGHT), "dark": _template(_DARK)}


def _template(colours: dict[str, str]) -> dict[str, Any]:
    axis = {
        "automargin": True,
        "gridcolor": colours["grid"],
        "linecolor": colours["line"],
        "showline": True,
        "ticks": "outside",
        "tickcolor": colours["line"],
        "ticklen": 4,
        "zeroline": False,
        "title": {"standoff": 12, "font": {"size": 13, "color": colours["text"]}},
        "tickfont": {"color": colours["muted"]},
    }
    return {
        "layout": {
            "font": {"family": FONT, "size": 12.5, "color": colours["text"]},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": list(CYCLE),
            "margin": {"l": 12, "r": 16, "t": 16, "b": 12},
            "hoverlabel": {"font": {"family": FONT, "size": 12.5}, "align": "left"},
            "legend": {
                "orientation": "h",
                "yanchor": "bottom",
                "y": 1.02,
                "xanchor": "left",
                "x": 0,
                "font": {"size": 12.5},
            },
            "modebar": {"bgcolor": "rgba(0,0,0,0)"},
            "xaxis": axis,
            "yaxis": axis,
        }
    }
