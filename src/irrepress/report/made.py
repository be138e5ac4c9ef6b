"""What a run has made, in a few lines a model: on the terminal, and in the report."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from irrepress.catalogue.families import loading_line
from irrepress.core.errors import UserError
from irrepress.evaluation.records import Errors, Metrics, StageMetrics
from irrepress.report.study import PARENT_PLAN, PARENT_STAGE
from irrepress.report.tables import UNITS, convert
from irrepress.report.text import factor, number, plural
from irrepress.study.cards import Card

DOWNSTREAM, METRICS = "downstream", "metrics.json"
# Of so many models a run tells all; of others, where they lie.
MOST_TOLD = 6


@dataclass(frozen=True)
class Made:
    """A model that is there, and what to know before using it.

    Attributes:
        path: its native file.
        errors: mean absolute errors with their units, and against what; None if the model was
            not evaluated.
        parent_errors: the same of the uncompressed parent, if it was evaluated on the same data.
        speed: how fast it is beside its parent, and how large; None if it was not timed.
        load: Python that makes it the calculator of ``atoms`` (ASE).
    """

    path: Path
    errors: str | None
    parent_errors: str | None
    speed: str | None
    load: str

    def lines(self) -> list[str]:
        """Return the model as lines of text, the path first."""
        optional = [
            ("errors", self.errors or "not evaluated"),
            ("parent", self.parent_errors),
            ("speed", self.speed),
            ("load", self.load),
        ]
        return [str(self.path), *(f"  {key:<7} {text}" for key, text in optional if text)]


def describe(folder: str | Path) -> Made:
    """Describe the model of a folder of results.

    Args:
        folder: holds ``model.pt``, ``card.json`` and, if the model was evaluated,
            ``metrics.json``: ``results/{study}/{model}/{plan}/{stage}`` or the folder of a
            downstream task below it.

    Raises:
        UserError: a card or metrics that cannot be read.
    """
    folder = Path(folder)
    card = Card.load(folder / "card.json")
    task = folder.parent.parent.name == DOWNSTREAM
    stage = folder.parents[2] if task else folder
    parent = stage.parents[1] / PARENT_PLAN / PARENT_STAGE
    is_parent = stage == parent
    metrics = _metrics(folder, Metrics)
    # Trained alike, or as it is where that was not done.
    of_parent = parent / folder.relative_to(stage)
    if not (of_parent / METRICS).is_file():
        of_parent = parent
    return Made(
        path=folder / "model.pt",
        errors=_errors(metrics) if metrics else None,
        parent_errors=_parent_errors(metrics, of_parent) if metrics and not is_parent else None,
        speed=None if is_parent else _speed(folder, stage, parent),
        load=loading_line(card.family, folder / "model.pt", card.modal),
    )


def final_folders(outputs: Iterable[str | Path]) -> list[Path]:
    """Return the folders of the models that a run was about, in the order of their names.

    Those that were trained, quantized, exported or fine-tuned, if there are any; else those
    that were compensated, or pruned. Parents count where nothing else was made of them and they
    were evaluated; baselines (trained from scratch, restricted) never.

    Args:
        outputs: the files that the jobs of a run make, in the layout of `describe`.
    """
    outputs = {Path(path) for path in outputs}
    ranks: dict[Path, int] = {}
    for folder in {path.parent for path in outputs if path.name == "model.pt"}:
        rank = _rank(folder)
        if rank is not None and (rank > 0 or folder / METRICS in outputs):
            ranks[folder] = rank
    highest = max(ranks.values(), default=0)
    return sorted(folder for folder, rank in ranks.items() if rank == highest)


def _rank(folder: Path) -> int | None:
    """Return how far the model of a folder has come; None for baselines."""
    if folder.parent.parent.name == DOWNSTREAM:
        of_parent = folder.parents[3].name == PARENT_PLAN
        return 3 if folder.name == "finetuned" and not of_parent else None
    if folder.parent.name == PARENT_PLAN:
        return 0 if folder.name == PARENT_STAGE else None
    return {"pruned": 1, "compensated": 2}.get(folder.name, 3)


def terminal_text(outputs: Iterable[str | Path]) -> str:
    """Return what a run has made as a text for the terminal; empty if that was no model.

    Args:
        outputs: as in `final_folders`; files that are not there are not told of.
    """
    outputs = [path for path in map(Path, outputs) if path.is_file()]
    folders = final_folders(outputs)
    lines = [f"Made {plural(len(folders), 'model')}:"] if folders else []
    for folder in folders[:MOST_TOLD]:
        try:
            lines += describe(folder).lines()
        except UserError as error:
            lines.append(str(error))
    lines += [str(folder / "model.pt") for folder in folders[MOST_TOLD:]]
    lines += [f"The report: {path}" for path in outputs if path.match("report/index.html")]
    return "\n".join(lines)


def _metrics(folder: Path, kind: type[Metrics]) -> Metrics | None:
    path = folder / METRICS
    return kind.load(path) if path.is_file() else None


def _reference(metrics: Metrics) -> str | None:
    """Return what errors are told against: labels if there are any, else the parent."""
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
    told = f"{values} (MAE against {against}, {structures} of {metrics.dataset})"
    return f"{told}; {failed}" if failed else told


def _values(errors: Errors) -> str:
    parts = []
    for quantity, (unit, _) in UNITS.items():
        if getattr(errors, f"{quantity}_mae") is not None:
            parts.append(f"{quantity} {number(convert(errors, quantity, 'mae'))} {unit}")
    return ", ".join(parts)


def _parent_errors(metrics: Metrics, folder: Path) -> str | None:
    """Return the parent's errors on the same structures, if errors are told against labels."""
    parent = _metrics(folder, Metrics)
    if parent is None or parent.dataset != metrics.dataset or parent.labels != metrics.labels:
        return None
    if _reference(metrics) != "labels" or _reference(parent) != "labels":
        return None
    return _values(parent.errors.labels)


def _speed(folder: Path, stage: Path, parent: Path) -> str | None:
    """Tell speed and size of a model, or of the one that it was fine-tuned from."""
    own = _metrics(folder, Metrics)
    timed = own if own is not None and own.cost is not None else _metrics(stage, StageMetrics)
    if timed is None:
        return None
    cost, before = timed.cost, Card.load(parent / "card.json").parameters
    of_start = timed is not own
    return (
        f"{factor(1 / cost.time_ratio)} the parent's on {plural(cost.timing_atoms, 'atom')} "
        f"({cost.device}, {plural(cost.threads, 'thread')}), {cost.parameters:,} parameters of "
        f"{before:,}"
        + (", before elements were left out for the dataset" if of_start else "")
        + (f"; rough, the machine was busy ({cost.busy})" if cost.busy else "")
    )
