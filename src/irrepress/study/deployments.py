"""Which models of a study are deployed, and for what."""

from collections.abc import Iterator
from dataclasses import dataclass

from irrepress.deploy.config import TargetName
from irrepress.study.config import Config
from irrepress.study.paths import ModelFolder, StudyPaths
from irrepress.study.stages import Stage


@dataclass(frozen=True)
class DeploymentRun:
    """A model of a study that is deployed for a target.

    Attributes:
        model: name of the model in the config.
        plan: name of the plan.
        stage: the stage.
        target: the target.

    Example:
        >>> run = DeploymentRun("m", "taylor-0.50", Stage("recovered"), "native")
        >>> run.folder(StudyPaths.of("tiny")).deployment("native").as_posix()
        'results/tiny/m/taylor-0.50/recovered/deploy/native/deployment.json'
    """

    model: str
    plan: str
    stage: Stage
    target: TargetName

    def folder(self, paths: StudyPaths) -> ModelFolder:
        """Return the folder of the model."""
        return paths.stage(self.model, self.plan, self.stage.name)


def deployment_runs(config: Config) -> Iterator[DeploymentRun]:
    """Yield the deployments that a config asks for: stages of the trained plans."""
    if config.deploy is None:
        return
    for model in config.compressed_models():
        for plan in config.train_plans:
            for stage in config.deploy.stages:
                for target in config.deploy.targets:
                    yield DeploymentRun(model, plan, Stage(stage), target)
