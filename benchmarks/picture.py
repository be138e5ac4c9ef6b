"""The picture of the README: force error against time, from a recorded table.

`documentation.py` draws it. The numbers that were drawn stand in the file's description, so that
a test can compare them with the table.
"""

import csv
import io
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd

PATH = Path(__file__).resolve().parents[1] / "docs" / "assets" / "error-against-time.svg"
TABLE = "own_systems"
_TRAINING = "1800 steps, at most 96 atoms"
_COLOURS = {"silicon": "#3949ab", "germanium": "#00897b", "3BPA": "#d81b60"}
# Column of the table -> marker and what the legend calls it.
_LARGE = {
    "forces parent": ("o", "SevenNet-l3i5"),
    "forces fine-tuned parent": ("s", "SevenNet-l3i5, fine-tuned"),
}
_ARROW = {"arrowstyle": "->", "alpha": 0.5, "shrinkA": 7, "shrinkB": 7}
_SMALL = ("D", "compressed and fine-tuned")


def points(table: pd.DataFrame) -> list[tuple[str, str, float, float]]:
    """Return system, model, time relative to the large model, and force error in meV/Å."""
    chosen = table[(table["training"] == _TRAINING) & table["system"].isin(_COLOURS)]
    found = []
    for row in chosen.to_dict("records"):
        found += [(row["system"], name, 1.0, row[column]) for column, (_, name) in _LARGE.items()]
        found.append((row["system"], _SMALL[1], 1 / row["times faster"], row["forces compressed"]))
    return found


def description(drawn: list[tuple[str, str, float, float]]) -> str:
    """Write points as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("system", "model", "time", "forces [meV/Å]"))
    writer.writerows((s, m, f"{time:.3g}", f"{error:.3g}") for s, m, time, error in drawn)
    return text.getvalue()


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw the picture as SVG; the same table gives the same file."""
    drawn = points(table)
    markers = {name: marker for marker, name in (*_LARGE.values(), _SMALL)}
    style = {
        "font.family": "sans-serif",
        "font.size": 11,
        "svg.fonttype": "none",
        "svg.hashsalt": "irrepress",
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with matplotlib.rc_context(style):
        figure, axes = plt.subplots(figsize=(7.2, 3.6), layout="constrained")
        for system, colour in _COLOURS.items():
            of_system = {model: (time, error) for s, model, time, error in drawn if s == system}
            start, end = of_system[_LARGE["forces parent"][1]], of_system[_SMALL[1]]
            axes.annotate(
                "",
                xy=end,
                xytext=start,
                arrowprops=_ARROW | {"color": colour},
            )
            for model, (time, error) in of_system.items():
                axes.plot(time, error, markers[model], color=colour, markersize=8, clip_on=False)
            axes.annotate(
                system,
                end,
                xytext=(-10, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                color=colour,
            )
        for model, marker in markers.items():
            axes.plot([], [], marker, color="#555555", label=model)
        axes.set(
            xlim=(0, 1.12),
            ylim=(0, None),
            xlabel="time of one call, relative to SevenNet-l3i5",
            ylabel="force error [meV/Å]",
        )
        axes.legend(loc="upper left", frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"Date": None, "Creator": None, "Description": description(drawn)}
        figure.savefig(path, format="svg", metadata=metadata, facecolor="white")
        plt.close(figure)
