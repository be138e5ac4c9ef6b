"""The figures of the report, as panels; each function returns None where there is nothing."""

from irrepress.report.figures.bars import cost_panel, downstream_panel
from irrepress.report.figures.curves import downstream_training_panel, training_panel
from irrepress.report.figures.data import data_panel
from irrepress.report.figures.dynamics import dynamics_panel
from irrepress.report.figures.heat_maps import importance_panel, kept_panel
from irrepress.report.figures.panel import Panel
from irrepress.report.figures.pareto import pareto_front, pareto_panel
from irrepress.report.figures.validation import validation_panel

__all__ = [
    "Panel",
    "cost_panel",
    "data_panel",
    "downstream_panel",
    "downstream_training_panel",
    "dynamics_panel",
    "importance_panel",
    "kept_panel",
    "pareto_front",
    "pareto_panel",
    "training_panel",
    "validation_panel",
]
