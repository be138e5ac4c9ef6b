"""The models that a run made, in a few lines each: on the terminal, and in the report."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from irrepress.catalogue.families import loading_line
from irrepress.core.errors import UserError
from irrepress.evaluation.physics.records import MeasuredDynamics
from irrepress.evaluation.physics.verdicts import Validated
from irrepress.evaluation.records import Errors, Metrics, StageMetrics
from irrepress.report.tables import UNITS, convert
from irrepress.report.text import factor, number, plural
from irrepress.study.cards import Card
from irrepress.study.paths import MODEL, REPORT, ModelFolder
from irrepress.study.stages import COMPENSATED, ORIGINAL, PRUNED

# The largest number of models that are described; further ones are only listed.
MOST_TOLD = 6


@dataclass(frozen=True)
class Made:
    """A model that was made, and what to know before using it.

    Attributes:
        path: its native file.
        errors: mean absolute errors with their units, and against what; None if the model was
            not evaluated.
        parent_errors: the same of the uncompressed parent, if it was evaluated on the same data.
        speed: how fast it is beside its parent, and how large; None if it was not timed.
        dynamics: how runs of molecular dynamics went, a text for each dataset.
        validation: how it is beside its parent; None if that was not measured.
        load: Python that makes it the calculator of ``atoms`` (ASE).
    """

    path: Path
    errors: str | None
    parent_errors: str | None
    speed: str | None
    dynamics: list[str]
    validation: str | None
    load: str

    def lines(self) -> list[str]:
        """Return the model as lines of text, the path first."""
        optional = [
            ("errors", self.errors or "not evaluated"),
            ("parent", self.parent_errors),
            ("speed", self.speed),
            *(("MD", text) for text in self.dynamics),
            ("proof", self.validation),
            ("load", self.load),
        ]
        return [str(self.path), *(f"  {key:<7} {text}" for key, text in optional if text)]


def describe(folder: ModelFolder) -> Made:
    """Describe the model of a folder of results, which holds metrics only if it was evaluated.

    Raises:
        UserError: a card or metrics that cannot be read.
    """
    card = Card.load(folder.card)
    metrics = _metrics(folder, Metrics)
    # The parent trained in the same way, or as it is if it was not trained.
    of_parent = folder.parent.of_task(folder.dataset, folder.start)
    if not of_parent.metrics.is_file():
        of_parent = folder.parent
    is_parent = folder.untuned == folder.parent
    return Made(
        path=folder.model_file,
        errors=_errors(metrics) if metrics else None,
        parent_errors=_parent_errors(metrics, of_parent) if metrics and not is_parent else None,
        speed=None if is_parent else _speed(folder),
        dynamics=[_dynamics(path) for path in sorted(folder.dynamics().parent.glob("*.json"))],
        validation=_validation(folder.validation),
        load=loading_line(card.family, folder.model_file, card.modal),
    )


def final_folders(outputs: Iterable[str | Path]) -> list[ModelFolder]:
    """Return the folders of the models that a run was about, in the order of their names.

    Those that were trained, quantized, exported or fine-tuned, if there are any; else those
    that were compensated, or pruned. Parents count where nothing else was made of them and they
    were evaluated; baselines (trained from scratch, restricted) never.

    Args:
        outputs: the files that the jobs of a run make.
    """
    made = {Path(path) for path in outputs}
    ranks: dict[ModelFolder, int] = {}
    for folder in {ModelFolder.of(path.parent) for path in made if path.name == MODEL}:
        rank = _rank(folder)
        if rank is not None and (rank > 0 or folder.metrics in made):
            ranks[folder] = rank
    highest = max(ranks.values(), default=0)
    final = (folder for folder, rank in ranks.items() if rank == highest)
    return sorted(final, key=lambda folder: folder.path)


def _rank(folder: ModelFolder) -> int | None:
    """Return how far the model of a folder has come; None for baselines."""
    if folder.dataset is not None:
        return 3 if folder.start == "finetuned" and not folder.is_of_the_parent else None
    if folder.is_of_the_parent:
        return 0 if folder.stage == ORIGINAL.name else None
    return {PRUNED.name: 1, COMPENSATED.name: 2}.get(folder.stage, 3)


def terminal_text(outputs: Iterable[str | Path]) -> str:
    """Return the models that a run made as a text for the terminal; empty if there are none.

    Args:
        outputs: see `final_folders`; files that do not exist are ignored.
    """
    files = [path for path in map(Path, outputs) if path.is_file()]
    folders = final_folders(files)
    lines = [f"Made {plural(len(folders), 'model')}:"] if folders else []
    for folder in folders[:MOST_TOLD]:
        try:
            lines += describe(folder).lines()
        except UserError as error:
            lines.append(str(error))
    lines += [str(folder.model_file) for folder in folders[MOST_TOLD:]]
    lines += [f"The report: {path}" for path in files if path.match(REPORT)]
    return "\n".join(lines)


def _metrics(folder: ModelFolder, kind: type[Metrics]) -> Metrics | None:
    return kind.load(folder.metrics) if folder.metrics.is_file() else None


def _reference(metrics: Metrics) -> str | None:
    """Return the reference of errors: labels if there are any, else the parent."""
    for name in ("labels", "parent"):
        errors: Errors | None = getattr(metrics.errors, name)
        if errors is not None and (errors.forces_mae, errors.energy_mae) != (None, None):
            return name
    return None


def _errors(metrics: Metrics) -> str:
    name = _reference(metrics)
    failed = ""
    if metrics.failures.structures:
        failed = (
            f"predictions of {plural(metrics.failures.structures, 'structure')} are not finite: "
            "the model is damaged or diverged in training"
        )
    if name is None and failed:
        return f"none: {failed}"
    if name is None:
        return f"none: no labels to compare with in {metrics.dataset}"
    against = metrics.labels if name == "labels" else "the parent"
    structures = plural(metrics.structures, f"{metrics.split} structure")
    values = _values(getattr(metrics.errors, name))
    text = f"{values} (MAE against {against}, {structures} of {metrics.dataset})"
    return f"{text}; {failed}" if failed else text


def _values(errors: Errors) -> str:
    parts = []
    for quantity, (unit, _) in UNITS.items():
        if getattr(errors, f"{quantity}_mae") is not None:
            parts.append(f"{quantity} {number(convert(errors, quantity, 'mae'))} {unit}")
    return ", ".join(parts)


def _parent_errors(metrics: Metrics, folder: ModelFolder) -> str | None:
    """Return the parent's errors on the same structures, if errors are against labels."""
    parent = _metrics(folder, Metrics)
    if parent is None or parent.dataset != metrics.dataset or parent.labels != metrics.labels:
        return None
    errors = parent.errors.labels
    if errors is None or _reference(metrics) != "labels" or _reference(parent) != "labels":
        return None
    return _values(errors)


def _speed(folder: ModelFolder) -> str | None:
    """Return speed and size of a model, or of the one that it was fine-tuned from."""
    own = _metrics(folder, Metrics)
    timed = (
        own if own is not None and own.cost is not None else _metrics(folder.untuned, StageMetrics)
    )
    if timed is None or timed.cost is None:
        return None
    cost, before = timed.cost, Card.load(folder.parent.card).parameters
    of_start = timed is not own
    return (
        f"{factor(1 / cost.time_ratio)} the parent's on {plural(cost.timing_atoms, 'atom')} "
        f"({cost.device}, {plural(cost.threads, 'thread')}), "
        + (
            f"in {cost.deployed.runtime} {factor(1 / cost.deployed.time_ratio)}, "
            if cost.deployed
            else ""
        )
        + f"{cost.parameters:,} parameters of "
        f"{before:,}"
        + (", before elements were left out for the dataset" if of_start else "")
        + (f"; rough, the machine was busy ({cost.busy})" if cost.busy else "")
    )


def _dynamics(path: Path) -> str:
    """Return how a run of molecular dynamics went."""
    run = MeasuredDynamics.load(path)
    what = f"{number(run.picoseconds, 2)} ps of {run.formula} ({run.dataset}) at constant energy"
    if failures := run.failures():
        return f"{what}: {'; '.join(failures)}"
    return (
        f"{what}: stable, drift {number(1e3 * abs(run.drift or 0), 2)} meV/atom/ps, "
        f"{number(run.temperature)} K, {number(run.steps_per_second)} steps per second"
    )


def _validation(path: Path) -> str | None:
    """Return how a model is beside its parent; None if that was not measured."""
    if not path.is_file():
        return None
    validated = Validated.load(path)
    return "; ".join([validated.summary(), *map(str, validated.failures())])
