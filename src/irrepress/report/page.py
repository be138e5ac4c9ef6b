"""The report of a study: one HTML page that needs no network, and its tables as CSV."""

import datetime
import json
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from ase.data import chemical_symbols
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from irrepress import __version__
from irrepress.core.files import atomic_path, write_text
from irrepress.data.layout import UNLABELLED
from irrepress.data.summary.records import SYSTEMS
from irrepress.evaluation.checks import FINITE_DIFFERENCE_TOLERANCE, SYMMETRY_TOLERANCE
from irrepress.evaluation.physics.records import DRIFT_TOLERANCE, FLUCTUATION_TOLERANCE
from irrepress.evaluation.physics.verdicts import Result
from irrepress.report import data_tables, figures, notes, story, tables, text, theme, usage
from irrepress.report.figures import Panel
from irrepress.report.markup import Table
from irrepress.report.models import model_groups
from irrepress.report.page_tables import page_tables
from irrepress.report.study import Study, read_study
from irrepress.report.suspects import suspect_notes
from irrepress.study import citations as references
from irrepress.study.cards import UNKNOWN_LEVEL
from irrepress.study.config import Config


@dataclass(frozen=True)
class LabelNote:
    """Whose labels some datasets hold."""

    datasets: list[str]
    labels: str
    by_model: bool


# Sections of the config that the first sentence names if they are there.
_TREATMENTS = ("recovery", "distillation", "refinement", "quantization")


def write_report(
    study_dir: str | Path,
    config: Config,
    out_dir: str | Path,
    benchmarks: str | Path | None = None,
) -> None:
    """Write ``index.html`` and its tables: sweep, errors, cost, downstream, data, suspects, usage.

    Everything is computed before the first file is written, and each file is replaced as a
    whole. Without downstream datasets ``downstream.csv`` has column names only, and so has
    ``suspects.csv`` without suspicious structures and ``usage.csv`` without benchmark files.

    Args:
        study_dir: ``results/{study}``.
        config: the study's configuration.
        out_dir: where the report goes; made if missing.
        benchmarks: ``logs/{study}``, where Snakemake wrote time and memory of every job.

    Raises:
        UserError: a record of the study is missing or malformed, or ``out_dir`` cannot be
            written to.
    """
    study = read_study(study_dir, config)
    # The device that "auto" stood for is known from the records of times.
    gpus = any(run.metrics.cost.device != "cpu" for run in study.runs)
    used = usage.usage_table(Path(benchmarks or out_dir), config, gpus=gpus)
    frames = {
        "sweep": tables.sweep_table(study),
        "downstream": tables.downstream_table(study),
        "cost": tables.cost_table(study),
        "errors": tables.errors_table(study),
        "data": data_tables.data_table(study),
        "suspects": data_tables.suspects_table(study),
        "usage": used,
    }
    if config.evaluation.dynamics is not None:
        frames["dynamics"] = tables.dynamics_table(study)
    if config.validation is not None:
        frames["validation"] = tables.validation_table(study)
    if config.deploy is not None:
        frames["deploy"] = tables.deploy_table(study)
    page = render(study, usage.shown_usage(used))
    out = Path(out_dir)
    for name, frame in frames.items():
        with atomic_path(out / f"{name}.csv") as temporary:
            frame.to_csv(temporary, index=False)
    write_text(out / "index.html", page)


def render(study: Study, used: Table | None = None) -> str:
    """Return the page as HTML.

    Args:
        study: the study.
        used: time and memory of its jobs, if they are known.
    """
    panels = {
        panel.name: panel
        for panel in (
            figures.pareto_panel(study),
            figures.kept_panel(study),
            figures.importance_panel(study),
            figures.training_panel(study),
            figures.downstream_panel(study),
            figures.downstream_training_panel(study),
            figures.dynamics_panel(study),
            figures.validation_panel(study),
            figures.cost_panel(study),
            figures.data_panel(study),
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
    families = {model.family for model in config.models.values()}
    listed = references.of_families(families)
    stories = [story.tell(study, model) for model in config.models]
    environment.globals["cite"] = partial(_cite, [reference.key for reference in listed])
    environment.globals["symbols"] = chemical_symbols
    environment.globals["systems"] = SYSTEMS
    environment.globals["unknown_level"] = UNKNOWN_LEVEL
    environment.filters["number"] = text.number
    environment.filters["plural"] = text.plural
    environment.filters["breakable"] = text.breakable
    environment.filters["listing"] = text.listing
    environment.filters["keep_units"] = text.keep_units
    return environment.get_template("index.html").render(
        study=study,
        config=config,
        stories=stories,
        labels=label_notes(study),
        families=families,
        treatments=[name for name in _TREATMENTS if getattr(config, name)],
        panels=panels,
        tables=page_tables(study),
        used=used,
        trainings=tables.trainings_of(config),
        suspects=suspect_notes(study),
        models=model_groups(study, stories),
        not_passed=notes.not_passed(study),
        failed=notes.failed_predictions(study),
        alignments=notes.alignments(study),
        busy=notes.busy(study),
        unstable=notes.unstable(study),
        disproven=notes.not_proven(study, Result.FAILED),
        not_proven=notes.not_proven(study, Result.INCOMPLETE),
        drift_tolerance=DRIFT_TOLERANCE,
        fluctuation_tolerance=FLUCTUATION_TOLERANCE,
        symmetry_tolerance=SYMMETRY_TOLERANCE,
        finite_difference_tolerance=FINITE_DIFFERENCE_TOLERANCE,
        versions=_versions(study),
        licences=_licences(study),
        references=listed,
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
        if card.summary.origin.labels == UNLABELLED:
            continue
        key = (card.summary.origin.labels, card.labelled_by_model)
        datasets.setdefault(key, []).append(name)
    notes = [LabelNote(names, labels, model) for (labels, model), names in datasets.items()]
    return sorted(notes, key=lambda note: not note.by_model)


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


def _cite(listed: list[str], *keys: str) -> Markup:
    """Links to references by their numbers in the list: ``[1, 3]``."""
    links = ", ".join(
        f'<a href="#ref-{key}">{listed.index(key) + 1}</a>'
        for key in sorted(keys, key=listed.index)
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
