"""A finished study in memory: every record that the report is made from."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from irrepress.core.errors import UserError
from irrepress.core.plan import Plan
from irrepress.deploy.records import Deployment
from irrepress.evaluation.physics.records import MeasuredDynamics
from irrepress.evaluation.physics.verdicts import Validated
from irrepress.evaluation.records import Metrics, StageMetrics
from irrepress.pruning.scores import Scores
from irrepress.report.datasets import DataCard, read_data_cards
from irrepress.study.cards import Card
from irrepress.study.config import Config
from irrepress.study.deployments import deployment_runs
from irrepress.study.dynamics import dynamics_runs
from irrepress.study.paths import PARENT_PLAN, StudyPaths
from irrepress.study.stages import ORIGINAL, Stage
from irrepress.study.validation import validation_runs

TRAINING_COLUMNS = ("step", "train_loss", "valid_loss", "seconds")

Start = Literal["finetuned", "scratch", "restricted"]


@dataclass(frozen=True)
class Run:
    """One stage of one model: the parent, or a plan after pruning, recovery, ...

    Attributes:
        model: name of the model in the config.
        plan: name of the plan; ``parent`` for the uncompressed model.
        stage: the stage; `ORIGINAL` for the uncompressed model.
        metrics: what was measured.
        card: how the model came about.
        training: one row per validation, if the stage was trained.
    """

    model: str
    plan: str
    stage: Stage
    metrics: StageMetrics
    card: Card
    training: pd.DataFrame | None = None

    @property
    def name(self) -> str:
        """The name of its stage in tables."""
        return self.stage.name

    @property
    def is_parent(self) -> bool:
        """Whether this is the uncompressed model."""
        return self.plan == PARENT_PLAN


@dataclass(frozen=True)
class TaskRun:
    """One model of a downstream dataset; ``start`` says from which weights it was trained.

    ``restricted`` is the parent without the elements that the dataset lacks, untrained.
    """

    model: str
    plan: str
    stage: Stage
    dataset: str
    start: Start
    metrics: Metrics
    card: Card
    training: pd.DataFrame | None = None

    @property
    def name(self) -> str:
        """The name of its stage in tables: the model that it was trained from, and how."""
        done = {"finetuned": "fine-tuned on", "scratch": "from scratch on"}
        return f"{self.stage.name}, {done.get(self.start, 'restricted to')} {self.dataset}"


@dataclass(frozen=True)
class DynamicsOf:
    """Molecular dynamics with one model; the attributes are as those of `Run`.

    Attributes:
        name: name of its stage in tables.
        measured: the run.
    """

    model: str
    plan: str
    name: str
    measured: MeasuredDynamics

    @property
    def is_parent(self) -> bool:
        """Whether it was run with the uncompressed model."""
        return self.plan == PARENT_PLAN


@dataclass(frozen=True)
class ValidationOf:
    """What was measured of one model beside its parent; the attributes are as those of `Run`.

    Attributes:
        name: name of its stage in tables.
        measured: the record.
    """

    model: str
    plan: str
    name: str
    measured: Validated

    @property
    def title(self) -> str:
        """What the model is called in the report."""
        return f"{self.model}, {self.plan}, {self.name}"


@dataclass(frozen=True)
class DeploymentOf:
    """A deployment of one model; the attributes are as those of `Run`.

    Attributes:
        name: name of its stage in tables.
        folder: where it lies, relative to the results.
        record: what it holds, how it was checked and how fast it is.
    """

    model: str
    plan: str
    name: str
    folder: Path
    record: Deployment


@dataclass(frozen=True)
class GroupScores:
    """Importance scores of the channels of one group under one criterion.

    Attributes:
        group: name of the group.
        layer: index of its layer; meaningless for an order of the filter.
        irrep: in e3nn's notation.
        axis: see `irrepress.core.groups.Group`.
        scores: ``[channels]``.
    """

    group: str
    layer: int
    irrep: str
    axis: str
    scores: np.ndarray

    @property
    def site(self) -> str:
        """The site without layer and irrep, such as ``features`` for ``features.2.1e``.

        What else tells groups of a layer apart stays: ``radial.1`` of the second hidden layer of
        a radial network.
        """
        site, *rest = self.group.split(".")
        for part in (str(self.layer), self.irrep):
            if part in rest:
                rest.remove(part)
        return ".".join([site, *rest])

    @property
    def is_shared(self) -> bool:
        """Whether all layers share the group: an order, or a component of messages."""
        return self.axis in ("order", "component")


@dataclass(frozen=True)
class Study:
    """Everything the report shows.

    Attributes:
        paths: where its files lie.
        config: the study's configuration.
        runs: all stages of all models, the parent first, then in the order of the config.
        plans: plans by (model, plan).
        scores: scores by (model, criterion).
        tasks: trainings on downstream datasets; empty where none are configured.
        data: data cards by name of the dataset.
        dynamics: molecular dynamics, of each dataset the parent's first.
        validations: what was measured of models beside their parents.
        deployments: models in the form of other runtimes.
    """

    paths: StudyPaths
    config: Config
    runs: tuple[Run, ...]
    plans: dict[tuple[str, str], Plan]
    scores: dict[tuple[str, str], list[GroupScores]]
    tasks: tuple[TaskRun, ...]
    data: dict[str, DataCard]
    dynamics: tuple[DynamicsOf, ...] = ()
    validations: tuple[ValidationOf, ...] = ()
    deployments: tuple[DeploymentOf, ...] = ()

    @property
    def all_runs(self) -> list[Run | TaskRun]:
        """Every stage of all models, then the trainings on downstream datasets."""
        return [*self.runs, *self.tasks]

    @cached_property
    def parents(self) -> dict[str, Run]:
        """The uncompressed model by name of the model."""
        return {run.model: run for run in self.runs if run.is_parent}

    def compressed(self, model: str) -> list[Run]:
        """Every stage of every plan of a model, without the parent."""
        return [run for run in self.runs if run.model == model and not run.is_parent]

    @cached_property
    def finals(self) -> list[TaskRun]:
        """The fine-tuned models of a study of one downstream dataset: it was made for these.

        The parent comes first, if it was fine-tuned, too. Where there are several datasets, the
        compressed model that all start from is the end, and they are compared by themselves.
        """
        if self.config.final_dataset is None:
            return []
        return [task for task in self.tasks if task.start == "finetuned"]

    def find_task(
        self, model: str, plan: str, stage: Stage, dataset: str, start: Start
    ) -> TaskRun | None:
        """Return one downstream training, or None."""
        wanted = (model, plan, stage, dataset, start)
        for task in self.tasks:
            if (task.model, task.plan, task.stage, task.dataset, task.start) == wanted:
                return task
        return None


def read_study(study_dir: str | Path, config: Config) -> Study:
    """Read everything that a study has produced according to its config.

    Parts that are not configured (recovery, distillation, quantization, downstream) are not
    looked for.

    Args:
        study_dir: ``results/{study}``.
        config: the study's configuration.

    Raises:
        UserError: a file is missing or malformed; the message names it.
    """
    paths = StudyPaths.at(study_dir)
    return Study(
        paths=paths,
        config=config,
        runs=tuple(_read_runs(paths, config)),
        plans={
            (model, plan): Plan.load(paths.plan(model, plan))
            for model in config.compressed_models()
            for plan in config.plans()
        },
        scores=_read_scores(paths, config),
        tasks=tuple(_read_tasks(paths, config)),
        data=read_data_cards(paths, config),
        dynamics=tuple(_read_dynamics(paths, config)),
        validations=tuple(
            ValidationOf(
                run.model, run.plan, run.name, Validated.load(run.folder(paths).validation)
            )
            for run in validation_runs(config)
        ),
        deployments=tuple(_read_deployments(paths, config)),
    )


def _read_deployments(paths: StudyPaths, config: Config) -> Iterator[DeploymentOf]:
    for run in deployment_runs(config):
        path = run.folder(paths).deployment(run.target)
        folder = path.parent.relative_to(paths.results)
        yield DeploymentOf(run.model, run.plan, run.stage.name, folder, Deployment.load(path))


def _read_runs(paths: StudyPaths, config: Config) -> Iterator[Run]:
    for model in config.models:
        places = [(PARENT_PLAN, ORIGINAL)]
        if config.models[model].compress:
            places += [(plan, s) for plan in config.plans() for s in config.stages_of(plan)]
        for plan, stage in places:
            folder = paths.stage(model, plan, stage.name)
            yield Run(
                model=model,
                plan=plan,
                stage=stage,
                metrics=StageMetrics.load(folder.metrics),
                card=Card.load(folder.card),
                training=(
                    _read_training(folder.training)
                    if stage.is_trained and not stage.is_converted
                    else None
                ),
            )


def _read_tasks(paths: StudyPaths, config: Config) -> Iterator[TaskRun]:
    if config.downstream is None:
        return
    baselines, stage = config.downstream.baselines, Stage(config.downstream.stage)
    starts: list[tuple[str, Stage, Start]] = []
    if "parent" in baselines:
        starts.append((PARENT_PLAN, ORIGINAL, "finetuned"))
    if "restricted" in baselines:
        starts.append((PARENT_PLAN, ORIGINAL, "restricted"))
    for plan in config.train_plans:
        starts.append((plan, stage, "finetuned"))
        if "scratch" in baselines:
            starts.append((plan, stage, "scratch"))
    for model in config.compressed_models():
        for plan, stage, start in starts:
            for dataset in config.downstream.datasets:
                folder = paths.task(model, plan, stage.name, dataset, start)
                yield TaskRun(
                    model=model,
                    plan=plan,
                    stage=stage,
                    dataset=dataset,
                    start=start,
                    metrics=Metrics.load(folder.metrics),
                    card=Card.load(folder.card),
                    training=None if start == "restricted" else _read_training(folder.training),
                )


def _read_dynamics(paths: StudyPaths, config: Config) -> Iterator[DynamicsOf]:
    for run in dynamics_runs(config):
        folder, name = paths.stage(run.model, run.plan, run.stage.name), run.stage.name
        if run.fine_tuned:
            folder, name = folder.of_task(run.dataset, "finetuned"), f"{name}, fine-tuned"
        measured = MeasuredDynamics.load(folder.dynamics(run.dataset))
        yield DynamicsOf(run.model, run.plan, name, measured)


def _read_training(path: Path) -> pd.DataFrame:
    try:
        curve = pd.read_csv(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # pandas' parser errors are ValueErrors
        raise UserError(f"{path}: not a CSV file ({error}); train again") from error
    for column in TRAINING_COLUMNS:
        if column not in curve:
            raise UserError(f"{path}: column {column!r} is missing; train again")
    return curve


def _read_scores(paths: StudyPaths, config: Config) -> dict[tuple[str, str], list[GroupScores]]:
    """Read the scores of every compressed model, in the order of the model's groups."""
    found: dict[tuple[str, str], list[GroupScores]] = {}
    for model in config.compressed_models():
        path = paths.scores(model)
        if not path.is_file():
            raise UserError(f"{path}: cannot be read (No such file or directory)")
        scores = Scores.load(path)
        for criterion in config.sweep.criteria:
            values = scores.values.get(criterion, {})
            for group in scores.groups:
                if group.name not in values:
                    raise UserError(
                        f"{path}: scores of criterion {criterion!r} are incomplete ({group.name} "
                        "has none); delete the file and score again"
                    )
            found[model, criterion] = group_scores(scores, criterion)
    return found


def group_scores(scores: Scores, criterion: str) -> list[GroupScores]:
    """Return the scores of a criterion, in the order of the model's groups."""
    values = scores.of(criterion)
    return [GroupScores(g.name, g.layer, g.irrep, g.axis, values[g.name]) for g in scores.groups]
