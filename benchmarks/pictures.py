"""Pictures of the documentation, drawn from recorded tables by `documentation.py`.

The numbers that were drawn stand in a file's description, so that a test can compare them with the
table.
"""

import csv
import io
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

ASSETS = Path(__file__).resolve().parents[1] / "docs" / "assets"
_STYLE = {
    "font.family": "sans-serif",
    "font.size": 11,
    "svg.fonttype": "none",
    "svg.hashsalt": "irrepress",
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_COLOURS = ("#3949ab", "#00897b", "#d81b60")


class Picture(ABC):
    """A picture of a recorded table.

    Attributes:
        name: name of its file, without the ending.
        table: name of the table.
        error: the column whose numbers are drawn upwards.
    """

    name: ClassVar[str]
    table: ClassVar[str]
    error: ClassVar[str]

    @property
    def path(self) -> Path:
        """Where it lies."""
        return ASSETS / f"{self.name}.svg"

    @abstractmethod
    def points(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return what is drawn."""

    @abstractmethod
    def plot(self, points: pd.DataFrame, axes: Axes) -> None:
        """Draw the points, axes and legend."""

    def description(self, table: pd.DataFrame) -> str:
        """Return the points as CSV."""
        text = io.StringIO()
        self.points(table).to_csv(
            text, index=False, float_format="%.3g", quoting=csv.QUOTE_MINIMAL, lineterminator="\n"
        )
        return text.getvalue()

    def draw(self, table: pd.DataFrame, path: Path) -> None:
        """Draw the picture as SVG; the same table gives the same file."""
        with matplotlib.rc_context(_STYLE):
            figure, axes = plt.subplots(figsize=(7.2, 3.6), layout="constrained")
            self.plot(self.points(table), axes)
            path.parent.mkdir(parents=True, exist_ok=True)
            metadata = {"Date": None, "Creator": None, "Description": self.description(table)}
            figure.savefig(path, format="svg", metadata=metadata, facecolor="white")
            plt.close(figure)


class OwnSystems(Picture):
    """Of the README: large models and compressed ones of systems with labels."""

    name = "error-against-time"
    table = "own_systems"
    error = "forces compressed"

    _TRAINING = "1800 steps, at most 96 atoms"
    _SYSTEMS = ("silicon", "germanium", "3BPA")
    # Column of the table -> marker and what the legend calls it.
    _LARGE: ClassVar[dict[str, tuple[str, str]]] = {
        "forces parent": ("o", "SevenNet-l3i5"),
        "forces fine-tuned parent": ("s", "SevenNet-l3i5, fine-tuned"),
    }
    _SMALL = ("D", "compressed and fine-tuned")
    _ARROW: ClassVar[dict[str, Any]] = {
        "arrowstyle": "->",
        "alpha": 0.5,
        "shrinkA": 7,
        "shrinkB": 7,
    }

    def points(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return system, model, time relative to the large model, and force error."""
        chosen = table["training"].eq(self._TRAINING) & table["system"].isin(self._SYSTEMS)
        rows = []
        for row in table[chosen].to_dict("records"):
            name = row["system"]
            rows += [(name, model, 1.0, row[key]) for key, (_, model) in self._LARGE.items()]
            rows.append((name, self._SMALL[1], 1 / row["times faster"], row[self.error]))
        return pd.DataFrame(rows, columns=["system", "model", "time", "forces [meV/Å]"])

    def plot(self, points: pd.DataFrame, axes: Axes) -> None:
        """Draw an arrow from the large model to the small one for each system."""
        markers = {name: marker for marker, name in (*self._LARGE.values(), self._SMALL)}
        for system, colour in zip(self._SYSTEMS, _COLOURS, strict=True):
            own = points[points["system"] == system].drop(columns="system")
            of_system = {model: place for model, *place in own.itertuples(index=False)}
            start, end = of_system[self._LARGE["forces parent"][1]], of_system[self._SMALL[1]]
            arrow = self._ARROW | {"color": colour}
            axes.annotate("", xy=end, xytext=start, arrowprops=arrow)
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


class WithoutLabels(Picture):
    """Of the results without labels: what a tier of speed costs in accuracy."""

    name = "error-against-speed"
    table = "no_labels"
    error = "forces [%]"

    def points(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return system, temperature, how many times faster, and force error."""
        columns = ["system", "temperature [K]", "times faster", self.error]
        return table[columns].sort_values(columns[:3], kind="stable")

    def plot(self, points: pd.DataFrame, axes: Axes) -> None:
        """Draw a line for each system and temperature."""
        systems = points["system"].unique()
        for system, colour in zip(systems, _COLOURS, strict=False):
            own = points[points["system"] == system]
            lowest = own["temperature [K]"].min()
            for temperature, line in own.groupby("temperature [K]"):
                axes.plot(
                    line["times faster"],
                    line[self.error],
                    marker="o",
                    color=colour,
                    markerfacecolor=colour if temperature == lowest else "white",
                    linestyle="-" if temperature == lowest else "--",
                    label=f"{system}, {temperature:g} K",
                )
        axes.set(
            xscale="log",
            ylim=(0, None),
            xlabel="times faster than SevenNet-l3i5",
            ylabel="force error [% of the mean force]",
        )
        ticks = [5, 10, 20, 50, 100]
        axes.set_xticks(ticks, labels=map(str, ticks))
        axes.minorticks_off()
        axes.legend(frameon=False, fontsize=9)


PICTURES = (OwnSystems(), WithoutLabels())
