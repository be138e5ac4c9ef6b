"""The report of a study: one HTML page that needs no network, and its tables as CSV."""

import datetime
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from irrepress import __version__
from irrepress.config import Config
from irrepress.files import atomic_path, write_text
from irrepress.report import figures, references, story, tables, text, theme
from irrepress.report.datasets import DataCard
from irrepress.report.figures import Panel
from irrepress.report.markup import Table, make_table
from irrepress.report.study import Study, read_study

# What the checks stay below in float64, relative to the largest force. Round-off of deep
# networks reaches 1e-8; central differences are limited by their step of 1e-4 Å.
SYMMETRY_TOLERANCE = 1e-6
FINITE_DIFFERENCE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class LabelNote:
    """Whose labels some datasets hold."""

    datasets: list[str]
    labels: str
    by_model: bool


def write_report(study_dir: str | Path, config: Config, out_dir: str | Path) -> None:
    """Write ``index.html``, ``sweep.csv``, ``cost.csv``, ``errors.csv`` and ``downstream.csv``.

    Everything is computed before the first file is written, and each file is replaced as a
    whole. Without downstream datasets ``downstream.csv`` has column names only.

    Args:
        study_dir: ``results/{study}``.
        config: the study's configuration.
        out_dir: where the report goes; made if missing.

    Raises:
        UserError: a record of the study is missing or malformed, or ``out_dir`` cannot be
            written to.
    """
    study = read_study(study_dir, config)
    frames = {
        "sweep": tables.sweep_table(study),
        "downstream": tables.downstream_table(study),
        "cost": tables.cost_table(study),
        "errors": tables.errors_table(study),
    }
    page = render(study)
    out = Path(out_dir)
    for name, frame in frames.items():
        with atomic_path(out / f"{name}.csv") as temporary:
            frame.to_csv(temporary, index=False)
    write_text(out / "index.html", page)


def render(study: Study) -> str:
    """Return the page as HTML."""
    panels = {
        panel.name: panel
        for panel in (
            figures.pareto_panel(study),
            figures.kept_panel(study),
            figures.importance_panel(study),
            figures.training_panel(study),
            figures.downstream_panel(study),
            figures.downstream_training_panel(study),
            figures.cost_panel(study),
        )
        if panel is not None
    }
    config = study.config
    environment = Environment(
        loader=PackageLoader("irrepress.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["cite"] = _cite
    environment.filters["number"] = text.number
    environment.filters["listing"] = text.listing
    environment.filters["keep_units"] = text.keep_units
    return environment.get_template("index.html").render(
        study=study,
        config=config,
        stories=[story.tell(study, model) for model in config.models],
        labels=label_notes(study),
        families={model.family for model in config.models.values()},
        treatments=[
            name for name in ("recovery", "distillation", "quantization") if getattr(config, name)
        ],
        panels=panels,
        tables=_tables(study),
        data=_data(study),
        checks_ok=checks_hold(study),
        symmetry_tolerance=SYMMETRY_TOLERANCE,
        finite_difference_tolerance=FINITE_DIFFERENCE_TOLERANCE,
        versions=_versions(study),
        licences=_licences(study),
        references=references.REFERENCES,
        config_yaml=yaml.safe_dump(
            config.model_dump(mode="json"), sort_keys=False, allow_unicode=True
        ),
        version=__version__,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        plotly_js=Markup(_script_safe(get_plotlyjs())),
        figures_json=Markup(_figures_json(panels)),
    )


def label_notes(study: Study) -> list[LabelNote]:
    """Say whose labels the datasets hold, those made by models first."""
    datasets: dict[tuple[str, bool], list[str]] = {}
    for name, card in study.data.items():
        datasets.setdefault((card.labels, card.labelled_by_model), []).append(name)
    notes = [LabelNote(names, labels, model) for (labels, model), names in datasets.items()]
    return sorted(notes, key=lambda note: not note.by_model)


def checks_hold(study: Study) -> bool:
    """Whether every deviation is below its tolerance."""
    for run in study.runs:
        deviations = run.metrics.checks.model_dump()
        finite_difference = deviations.pop("finite_difference")
        symmetric = all(v is None or v < SYMMETRY_TOLERANCE for v in deviations.values())
        if not symmetric or (finite_difference or 0) >= FINITE_DIFFERENCE_TOLERANCE:
            return False
    return True


def _tables(study: Study) -> dict[str, Table]:
    """The tables of the page; the CSV files hold further columns."""
    mae = {
        reference: [tables.error_column(q, "mae", reference) for q in tables.UNITS]
        for reference in ("labels", "parent")
    }
    short = {
        tables.error_column(q, "mae", reference): f"{q} vs {reference} [{unit}]"
        for reference in mae
        for q, (unit, _) in tables.UNITS.items()
    }
    sweep = tables.sweep_table(study)
    errors = tables.errors_table(study)
    cost = tables.cost_table(study)
    checks = tables.checks_table(study)
    who = ["model", "plan", "stage"]
    shown = [
        make_table(
            "sweep",
            "Every plan right after pruning, before any training. Ratios are relative to the "
            "parent; errors are mean absolute errors against the labels and against the parent.",
            sweep,
            [
                *("model", "plan", "blocks kept [%]", "parameters", "parameter ratio"),
                *("FLOPs ratio", "time ratio", *mae["labels"][:2], *mae["parent"][:2]),
                *("filter lmax", "irreps"),
            ],
            csv="sweep.csv",
            titles=short,
            marked=sweep["plan"] == "parent",
        ),
        make_table(
            "errors",
            "Mean absolute errors at every stage, against the labels and against the parent's "
            "predictions. The CSV file also has root mean square errors.",
            errors,
            [*who, *mae["labels"], *mae["parent"]],
            csv="errors.csv",
            titles=short,
            marked=errors["plan"] == "parent",
        ),
        make_table(
            "cost",
            "Size and time at every stage. Time is that of one call for energy, forces and "
            "stress, measured in turn with the parent.",
            cost,
            [
                *who,
                *("parameters", "parameter ratio", "FLOPs per atom [MFLOP]", "FLOPs ratio"),
                *("file [MB]", "packed file [MB]", "time per call [ms]", "time ratio", "speed-up"),
            ],
            csv="cost.csv",
            marked=cost["plan"] == "parent",
        ),
        make_table(
            "checks",
            "Largest relative deviations in float64: of the forces under each transformation, and "
            "of the forces from central differences of the energy.",
            checks,
            [*who, "rotation", "inversion", "translation", "permutation", "finite_difference"],
            titles={"finite_difference": "finite differences"},
            marked=checks["plan"] == "parent",
        ),
    ]
    downstream = tables.downstream_table(study)
    if not downstream.empty:
        shown.append(_downstream_table(downstream))
    return {table.name: table for table in shown}


def _downstream_table(frame: pd.DataFrame) -> Table:
    columns = ["model", "plan", "dataset"]
    titles = {}
    for quantity in tables.PAPER_REDUCTIONS:
        unit, _ = tables.UNITS[quantity]
        reduction = tables.reduction_column(quantity)
        names = (tables.SCRATCH, "from scratch"), (tables.FINETUNED, "compressed")
        for name, short in (*names, (tables.PARENT, "parent")):
            column = tables.task_column(quantity, "mae", name)
            columns.append(column)
            titles[column] = f"{quantity}, {short} [{unit}]"
        columns.append(reduction)
        titles[reduction] = f"{quantity} reduced by [%]"
    is_paper = frame["source"] == tables.PAPER_SOURCE
    shown = frame.assign(
        plan=frame["plan"].where(~is_paper, "the paper's"),
        dataset=frame["dataset"].where(~is_paper, "mean of 8"),
    )
    return make_table(
        "downstream",
        "Mean absolute errors on the test splits: the network trained from scratch, the compressed "
        "model fine-tuned (its error is reduced by so much against scratch), and the parent "
        "fine-tuned. The last row repeats the figures of arXiv:2605.08885, from other models and "
        "datasets.",
        shown,
        columns,
        csv="downstream.csv",
        titles=titles,
        marked=(frame["dataset"] == tables.MEAN) | is_paper,
    )


def _data(study: Study) -> list[tuple[str, DataCard, list[str]]]:
    """Data cards with what each dataset is used for."""
    config = study.config
    uses: dict[str, list[str]] = {name: [] for name in study.data}
    uses[config.scoring.dataset].append("scoring")
    for name, training in (("recovery", config.recovery), ("distillation", config.distillation)):
        if training and training.dataset:
            uses[training.dataset].append(name)
    uses[config.evaluation.dataset].append("evaluation")
    if config.downstream:
        for name in config.downstream.datasets:
            uses[name].append("downstream")
    return [(name, card, uses[name]) for name, card in study.data.items()]


def _versions(study: Study) -> list[tuple[str, str]]:
    """Versions by package; several if the models were made with different ones."""
    cards = [run.card for run in study.runs] + [task.card for task in study.tasks]
    found: dict[str, Counter[str]] = {}
    for card in cards:
        for package, version in card.versions.items():
            found.setdefault(package, Counter())[version] += 1
    return [(package, ", ".join(sorted(versions))) for package, versions in sorted(found.items())]


def _licences(study: Study) -> list[tuple[str, str, str]]:
    """Checkpoint, SHA-256 and licence of every parent."""
    return [
        (
            f"{run.model} ({run.card.checkpoint})",
            run.card.parent_sha256,
            run.card.licence or "not recorded",
        )
        for run in study.parents.values()
    ]


def _cite(*keys: str) -> Markup:
    """Links to references by number: ``[1, 3]``."""
    links = ", ".join(
        f'<a href="#ref-{key}">{references.NUMBERS[key]}</a>'
        for key in sorted(keys, key=references.NUMBERS.__getitem__)
    )
    return Markup(f'<span class="cite">[{links}]</span>')


def _figures_json(panels: dict[str, Panel]) -> str:
    """All figures as JSON that may stand inside a script element."""
    content: dict[str, Any] = {"templates": theme.templates(), "panels": {}}
    for panel in panels.values():
        content["panels"][panel.name] = {
            "|".join(key): _specification(figure) for key, figure in panel.figures.items()
        }
    return _script_safe(json.dumps(content, ensure_ascii=False, separators=(",", ":")))


def _specification(figure: Any) -> dict[str, Any]:
    """A figure without its template: the page gives it one that fits its colours."""
    specification = json.loads(to_json_plotly(figure))
    specification["layout"].pop("template", None)
    return specification


def _script_safe(content: str) -> str:
    """Keep ``</script`` and ``<!--`` from ending the element early; harmless in JS and JSON."""
    return content.replace("</script", "<\\/script").replace("<!--", "<\\!--")
