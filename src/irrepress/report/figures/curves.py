"""Training curves: recovery, distillation and downstream trainings."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from irrepress.report import tables, theme
from irrepress.report.figures.panel import DOWNSTREAM_COLOURS, HEIGHT, Panel, log_axis
from irrepress.report.study import Run, Study, TaskRun
from irrepress.report.text import number
from irrepress.study.paths import PARENT_PLAN
from irrepress.study.stages import DISTILLED, ORIGINAL, REFINED, Stage

TRAINING_QUANTITIES = {
    "forces MAE": ("valid_forces_mae", 1e3, "validation forces MAE{} [meV/Å]"),
    "energy MAE": ("valid_energy_mae", 1e3, "validation energy MAE{} [meV/atom]"),
    "validation loss": ("valid_loss", 1.0, "validation loss{}"),
    "training loss": ("train_loss", 1.0, "training loss{}"),
}


def training_panel(study: Study) -> Panel | None:
    """Training curves of recovery and distillation; None if nothing was trained."""
    trained = [run for run in study.runs if run.training is not None]
    if not trained:
        return None
    targets = {run.stage: _target(study, run.stage) for run in trained}
    figures: dict[tuple[str, ...], go.Figure] = {}
    for model in study.config.compressed_models():
        for stage, target in targets.items():
            runs = [r for r in trained if r.model == model and r.stage == stage]
            curves = list(_training_curves(runs))
            for label, (column, factor, title) in TRAINING_QUANTITIES.items():
                against = title.format(_against(study, stage, label))
                figures[model, f"{stage.name}, vs {target}", label] = curves_figure(
                    curves, column, factor, against
                )
    return Panel(
        name="training",
        description="Line chart of errors on the validation split against training steps.",
        choices={
            "Model": study.config.compressed_models(),
            "Training": [f"{stage.name}, vs {target}" for stage, target in targets.items()],
            "Shown": list(TRAINING_QUANTITIES),
        },
        figures=figures,
    )


def _target(study: Study, stage: Stage) -> str:
    """What a training's errors are measured against: errors of two kinds share no axis."""
    taught = stage == REFINED or (stage == DISTILLED and _label_fraction(study) < 1)
    return "parent" if taught else "labels"


def _label_fraction(study: Study) -> float:
    return study.config.distillation.label_fraction if study.config.distillation else 1.0


def _against(study: Study, stage: Stage, label: str) -> str:
    """What an axis adds to its title: whose values a quantity of a training is measured against."""
    target, share = _target(study, stage), _label_fraction(study)
    if "loss" in label and stage == DISTILLED and target == "parent" and share > 0:
        return f" vs {number(100 * (1 - share), 2)} % parent, {number(100 * share, 2)} % labels"
    return f" vs {target}"


def downstream_training_panel(study: Study) -> Panel | None:
    """Training curves on the downstream datasets; None without them."""
    compressed = [t for t in study.tasks if t.plan != PARENT_PLAN]
    if not compressed or study.config.downstream is None:
        return None
    shown = ("forces MAE", "energy MAE")
    models = list(dict.fromkeys(f"{t.model}, {t.plan}" for t in compressed))
    figures: dict[tuple[str, ...], go.Figure] = {}
    for name in models:
        for dataset in study.config.downstream.datasets:
            curves = _task_curves(study, name, dataset)
            for label in shown:
                column, factor, title = TRAINING_QUANTITIES[label]
                figures[name, dataset, label] = curves_figure(
                    curves, column, factor, title.format(" vs labels")
                )
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


@dataclass(frozen=True)
class Curve:
    """A training curve and how it is drawn."""

    name: str
    data: pd.DataFrame
    colour: str
    dash: str = "solid"


def curves_figure(curves: Iterable[Curve], column: str, factor: float, title: str) -> go.Figure:
    """Line chart of a column of training curves against the step.

    Args:
        curves: the curves; those without a positive value are left out.
        column: one of `irrepress.training.module.COLUMNS`.
        factor: what values are multiplied by.
        title: title of the vertical axis.
    """
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
    figure.update_yaxes(title_text=title, **log_axis(drawn))
    figure.update_layout(height=HEIGHT, showlegend=True)
    return figure


def _training_curves(runs: Iterable[Run]) -> Iterator[Curve]:
    """One curve per plan and stage: plans differ by colour, stages by dash."""
    plans: dict[str, str] = {}
    for run in runs:
        colour = plans.setdefault(run.plan, theme.CYCLE[len(plans) % len(theme.CYCLE)])
        dash = theme.STAGE_DASHES[run.name]
        yield Curve(f"{run.plan}, {run.name}", run.training, colour, dash)


def _task_curves(study: Study, name: str, dataset: str) -> list[Curve]:
    labels = {"scratch": tables.SCRATCH, "finetuned": tables.FINETUNED}

    def belongs(task: TaskRun) -> bool:
        return task.dataset == dataset and f"{task.model}, {task.plan}" == name

    own = {
        labels[t.start]: t.training for t in study.tasks if belongs(t) and t.training is not None
    }
    model = next(t.model for t in study.tasks if belongs(t))
    parent = study.find_task(model, PARENT_PLAN, ORIGINAL, dataset, "finetuned")
    if parent and parent.training is not None:
        own[tables.FINETUNED_PARENT] = parent.training
    return [
        Curve(label, own[label], colour)
        for label, colour in DOWNSTREAM_COLOURS.items()
        if label in own
    ]
