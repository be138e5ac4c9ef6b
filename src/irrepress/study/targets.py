"""Targets of the workflow, and the files that the report is made from."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from irrepress.study.config import Config
from irrepress.study.deployments import deployment_runs
from irrepress.study.dynamics import dynamics_runs
from irrepress.study.inputs import downloads
from irrepress.study.paths import (
    DEPLOY_TABLE,
    DYNAMICS_TABLE,
    PARENT_PLAN,
    PARENT_STAGE,
    TABLES,
    VALIDATION_TABLE,
    DownloadPaths,
    StudyPaths,
)
from irrepress.study.stages import COMPENSATED, PRUNED, Stage
from irrepress.study.uses import used_datasets
from irrepress.study.validation import validation_runs


@dataclass(frozen=True)
class Targets:
    """The targets of the workflow, each a list of files.

    Attributes:
        config: the config.
        paths: paths of the study's files.

    Example:
        >>> [path.as_posix() for path in Targets(config, StudyPaths.of("tiny")).scores()]
        ['results/tiny/m/scores.h5']
    """

    config: Config
    paths: StudyPaths

    def downloads(self) -> list[Path]:
        """Return the records of all downloads."""
        places = DownloadPaths(Path(self.config.downloads.directory))
        return [places.record(collection, file) for collection, file in downloads(self.config)]

    def data(self) -> list[Path]:
        """Return all datasets with their summaries."""
        paths, names = self.paths, list(self.config.datasets)
        return [*map(paths.data, names), *map(paths.summary, names)]

    def summaries(self) -> list[Path]:
        """Return the summaries of the datasets that the study reads."""
        return list(map(self.paths.summary, used_datasets(self.config)))

    def parents(self) -> list[Path]:
        """Return the metrics of the unpruned models."""
        return [self.paths.parent(model).metrics for model in self.config.models]

    def scores(self) -> list[Path]:
        """Return the scores of the models to compress."""
        return list(map(self.paths.scores, self.config.compressed_models()))

    def plans(self) -> list[Path]:
        """Return all plans."""
        models, plans = self.config.compressed_models(), self.config.plans()
        return [self.paths.plan(model, plan) for model in models for plan in plans]

    def sweep(self) -> list[Path]:
        """Return the metrics of all plans right after pruning."""
        return self._metrics(self.config.plans(), [PRUNED])

    def trained(self, *names: str) -> list[Path]:
        """Return the metrics of the trained plans, at some stages or at all in the config."""
        stages = [s for s in self.config.stages() if not names or s.name in names]
        return self._metrics(self.config.train_plans, stages)

    def quantized(self) -> list[Path]:
        """Return the metrics of the quantized models."""
        stages = [stage for stage in self.config.stages() if stage.bits is not None]
        return self._metrics(self.config.train_plans, stages)

    def downstream(self) -> list[Path]:
        """Return the metrics of every downstream task: compressed models and baselines."""
        downstream = self.config.downstream
        if downstream is None:
            return []
        baselines = downstream.baselines
        places: list[tuple[str, str, str]] = [
            (plan, downstream.stage, start)
            for plan in self.config.train_plans
            for start in ("finetuned", "scratch")
            if start == "finetuned" or start in baselines
        ]
        of_parent = {"parent": "finetuned", "restricted": "restricted"}
        places += [
            (PARENT_PLAN, PARENT_STAGE, start)
            for baseline, start in of_parent.items()
            if baseline in baselines
        ]
        return [
            self.paths.task(model, plan, stage, dataset, start).metrics
            for plan, stage, start in places
            for model in self.config.compressed_models()
            for dataset in downstream.datasets
        ]

    def dynamics(self) -> list[Path]:
        """Molecular dynamics with the parents and with what their plans end at, if asked for."""
        found = []
        for run in dynamics_runs(self.config):
            folder = self.paths.stage(run.model, run.plan, run.stage.name)
            if run.fine_tuned:
                folder = folder.of_task(run.dataset, "finetuned")
            found.append(folder.dynamics(run.dataset))
        return found

    def validated(self) -> list[Path]:
        """Return the records of the models that are measured beside their parents, if asked for."""
        runs = validation_runs(self.config)
        return [run.folder(self.paths).validation for run in runs]

    def deployed(self) -> list[Path]:
        """Return the records of the deployments, if there are any."""
        runs = deployment_runs(self.config)
        return [run.folder(self.paths).deployment(run.target) for run in runs]

    def tables(self) -> dict[str, Path]:
        """The tables of the report, by name."""
        asked = [] if self.config.evaluation.dynamics is None else [DYNAMICS_TABLE]
        asked += [] if self.config.validation is None else [VALIDATION_TABLE]
        asked += [] if self.config.deploy is None else [DEPLOY_TABLE]
        return {name: self.paths.table(name) for name in (*TABLES, *asked)}

    def archives(self) -> list[Path]:
        """Return the archives of the trained plans at their last stages, or of all plans.

        With exactly one downstream dataset, the models fine-tuned on it are included. All plans are
        archived only if none is trained.
        """
        config, paths = self.config, self.paths
        plans = config.train_plans or list(config.plans())
        models = config.compressed_models()
        finals = []
        if config.downstream and config.final_dataset and config.train_plans:
            finals = [
                paths.task(model, plan, config.downstream.stage, config.final_dataset, "finetuned")
                for model in models
                for plan in plans
            ]
        stages = [s for s in config.stages() if s not in (PRUNED, COMPENSATED)]
        # In a study that only prunes and fine-tunes, only fine-tuned models are archived.
        last = [] if finals and not stages else stages or [PRUNED]
        trained = [paths.stage(m, plan, s.name) for m in models for plan in plans for s in last]
        return [paths.archive(folder) for folder in (*trained, *finals)]

    def _metrics(self, plans: Iterable[str], stages: Iterable[Stage]) -> list[Path]:
        plans, stages = list(plans), list(stages)
        return [
            self.paths.stage(model, plan, stage.name).metrics
            for model in self.config.compressed_models()
            for plan in plans
            for stage in stages
        ]
