"""Models side by side: errors, parameters, operations, time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from irrepress.api.showing import Shown, Table, count, themed
from irrepress.core.groups import widths_of
from irrepress.core.quantities import QUANTITIES
from irrepress.evaluation.direct import PRINTED
from irrepress.evaluation.errors import UNITS, Errors
from irrepress.report import theme
from irrepress.report.figures.panel import HEIGHT

if TYPE_CHECKING:
    from irrepress.core.model import Model

_STATISTICS = {"mae": "MAE", "rmse": "RMSE"}


@dataclass(frozen=True)
class ComparedModel:
    """One model of a comparison.

    Attributes:
        name: what it is called.
        parameters: number of parameters.
        flops_per_atom: floating-point operations of one energy, per atom.
        errors: against the labels, in `irrepress.evaluation.errors.UNITS`; None where there are
            no labels, or a prediction is not finite.
        seconds: seconds of one call for energy, forces and stress in the family's own code; None
            if it was not timed.
        time_ratio: its time relative to that of the last model, from the same rounds.
    """

    name: str
    parameters: int
    flops_per_atom: float
    errors: Errors
    seconds: float | None = None
    time_ratio: float | None = None

    @classmethod
    def of(cls, name: str, model: Model, errors: Errors) -> ComparedModel:
        """Return a model that was not timed."""
        flops = model.cost_model()(widths_of(model.groups())).flops
        return cls(name, model.parameter_count(), flops, errors)


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """Models side by side on the same structures.

    Attributes:
        models: the models, the one that others are compared with last.
        structures: how many structures were compared.
        source: which structures they are.
        agreement: errors of the first model against what the last one predicts, in
            `irrepress.evaluation.errors.UNITS`; None if there is one model only.
        timed: what was timed, and on what; empty if nothing was.
        remarks: what is to be known of the labels and of their energies.

    Example:
        >>> import irrepress
        >>> from ase.build import bulk
        >>> model = irrepress.load("7net-0")
        >>> small = model.plan(irreps="64x0e+32x1e", criterion="magnitude").apply()
        >>> found = small.evaluate(bulk("Si", cubic=True))
        >>> [each.name for each in found.models], found.structures
        (['7net-0/magnitude-64x0e+32x1e/pruned', '7net-0'], 1)
    """

    models: Sequence[ComparedModel]
    structures: int
    source: str
    agreement: Errors | None = None
    timed: str = ""
    remarks: Sequence[str] = ()

    def record(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "source": self.source,
            "structures": self.structures,
            "units": {"errors": UNITS, "seconds": "s", "flops_per_atom": "operations"},
            "models": [vars(model) for model in self.models],
            "agreement": self.agreement,
            "timed": self.timed or None,
            "remarks": list(self.remarks),
        }

    def plot(self) -> go.Figure:
        """Return bars of the mean absolute errors of every model, relative to the last one's."""
        last = self.models[-1]
        figure = go.Figure()
        for model, colour in zip(self.models, theme.CYCLE, strict=False):
            shown = {
                name: (model.errors[f"{name}_mae"], last.errors[f"{name}_mae"])
                for name in QUANTITIES
            }
            known = {name: own / whole for name, (own, whole) in shown.items() if own and whole}
            figure.add_trace(
                go.Bar(
                    x=list(known),
                    y=list(known.values()),
                    name=model.name,
                    marker={"color": colour},
                    text=[_printed(model.errors, name, "mae") for name in known],
                    hovertemplate="<b>%{x}</b><br>%{text}<extra></extra>",
                )
            )
        figure.update_yaxes(title_text=f"MAE relative to {last.name}", rangemode="tozero")
        return themed(figure.update_layout(height=HEIGHT, barmode="group", showlegend=True))

    def _table(self) -> Table:
        return Table(self._title(), self.rows(), self.header(), list(self._told()))

    def header(self) -> list[str]:
        """Return what heads the columns of `rows`."""
        return ["", *(model.name for model in self.models)]

    def rows(self) -> list[list[str]]:
        """Return what is compared as texts: a name and a value for each model."""
        rows = [
            ["parameters", *(f"{model.parameters:,}" for model in self.models)],
            ["FLOPs per atom", *(f"{model.flops_per_atom:.3g}" for model in self.models)],
        ]
        if all(model.seconds is not None for model in self.models):
            milliseconds = [1e3 * (model.seconds or 0) for model in self.models]
            rows.append(["time per call", *(f"{value:.3g} ms" for value in milliseconds)])
            rows.append(["time ratio", *(f"{model.time_ratio:.3g}" for model in self.models)])
        for name in QUANTITIES:
            for statistic, title in _STATISTICS.items():
                values = [_printed(model.errors, name, statistic) for model in self.models]
                if any(values):
                    rows.append([f"{name} {title}", *(value or "none" for value in values)])
        return rows

    def _title(self) -> str:
        return f"{count(self.structures, 'structure')}: {self.source}"

    def _told(self) -> Iterator[str]:
        if self.agreement is not None and len(self.models) > 1:
            parts = [
                f"{name} {text}"
                for name in QUANTITIES
                if (text := _printed(self.agreement, name, "mae"))
            ]
            yield f"{self.models[0].name} against {self.models[-1].name}, MAE: {', '.join(parts)}"
        if self.timed:
            yield f"timed: {self.timed}"
        yield from self.remarks


def _printed(errors: Errors, name: str, statistic: str) -> str:
    """Return an error with its unit; empty if there is none."""
    value = errors[f"{name}_{statistic}"]
    unit, factor = PRINTED[name]
    return "" if value is None else f"{factor * value:,.4g} {unit}"
