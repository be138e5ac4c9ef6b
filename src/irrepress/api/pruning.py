"""A plan for a potential, to be looked at before it is applied."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from irrepress.api.showing import Shown, Table, one_line, themed
from irrepress.core.files import refuse_existing
from irrepress.core.plan import Plan
from irrepress.pruning.scores import Scores
from irrepress.report.figures.heat_maps import importance_figure, kept_figure
from irrepress.report.study import group_scores

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from irrepress.api.potential import Potential


@dataclass(frozen=True, repr=False)
class Pruning(Shown):
    """A plan: which irreps blocks of a potential stay.

    Attributes:
        potential: the potential that it is for.
        name: what it is called, as the workflow would call it: ``fisher-0.20``.
        plan: the plan itself, pure data.
        scores: the scores that blocks were chosen by.
        summary: irreps, cutoff, cost, and the fractions that are kept.
        seed: the seed that it was made with.

    Example:
        >>> import irrepress
        >>> model = irrepress.load("7net-0")
        >>> pruning = model.plan(irreps="32x0e+16x1e+8x2e", criterion="magnitude")
        >>> pruning.summary["irreps"][1]
        '32x0e+16x1e+8x2e'
        >>> pruning.apply().model.parameter_count() < model.model.parameter_count() / 2
        True
    """

    potential: Potential
    name: str
    plan: Plan
    scores: Scores
    summary: dict[str, Any]
    seed: int

    def apply(self) -> Potential:
        """Return the smaller potential; nothing is fitted or trained."""
        return self.potential.prune(self.plan, name=self.name, summary=self.summary, seed=self.seed)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the plan as JSON, as the workflow does; it can be edited and read back.

        Raises:
            UserError: the file exists, and it is not to be overwritten.
        """
        refuse_existing(path, overwrite)
        self.plan.save(path, self.summary)

    def plot(self) -> go.Figure:
        """Return a heat map of the share of channels that stays at every site, order and layer."""
        return themed(kept_figure(group_scores(self.scores, self._criterion), self.plan))

    def plot_scores(self) -> go.Figure:
        """Return a heat map of the mean scores at every site, order and layer."""
        return themed(importance_figure(group_scores(self.scores, self._criterion)))

    @property
    def _criterion(self) -> str:
        return str(self.plan.provenance["criterion"])

    def _table(self) -> Table:
        return Table(self._title(), self._rows())

    def _title(self) -> str:
        return f"plan {self.name} for {self.potential.name}"

    def _rows(self) -> list[tuple[str, str]]:
        summary, kept = self.summary, self.summary["fraction"]
        rows = [("irreps", one_line(summary["irreps"]))]
        if summary["filter_lmax"] is not None:
            rows.append(("filter lmax", str(summary["filter_lmax"])))
        if "layers" in summary:
            rows.append(("layers", ", ".join(map(str, summary["layers"]))))
        if "cutoff" in summary:
            rows.append(("cutoff", f"{summary['cutoff']:g} Å"))
        rows += [
            ("parameters", f"{summary['parameters']:,} ({kept['parameters']:.1%})"),
            ("FLOPs per atom", f"{summary['flops_per_atom']:.3g} ({kept['flops']:.1%})"),
            ("irreps blocks", f"{summary['kept_blocks']:,} ({kept['blocks']:.1%})"),
        ]
        if "time" in kept:
            runtime = summary.get("timed_in", {}).get("runtime", "native")
            where = "the family's own code" if runtime == "native" else runtime
            faster = f"{1 / kept['time']:.3g}× as fast in {where}"
            rows.append(("time", f"{kept['time']:.1%}, predicted: {faster}"))
        rows += [("changed", change) for change in self.plan.provenance.get("changes", [])]
        return rows
