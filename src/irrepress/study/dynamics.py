"""Which models of a study molecular dynamics is run with."""

from collections.abc import Iterator
from dataclasses import dataclass

from irrepress.study.config import Config
from irrepress.study.paths import PARENT_PLAN
from irrepress.study.stages import ORIGINAL, Stage


@dataclass(frozen=True)
class DynamicsRun:
    """A model of a study and the dataset whose structure is run with it.

    Attributes:
        model: name of the model in the config.
        plan: name of the plan; ``parent`` for the uncompressed model.
        stage: the stage.
        dataset: name of the dataset.
        fine_tuned: whether it is the model that was fine-tuned on the dataset.

    Example:
        >>> run = DynamicsRun("m", PARENT_PLAN, ORIGINAL, "silicon", fine_tuned=False)
        >>> run.stage.name
        'original'
    """

    model: str
    plan: str
    stage: Stage
    dataset: str
    fine_tuned: bool


def dynamics_runs(config: Config) -> Iterator[DynamicsRun]:
    """Yield the runs that a config asks for, of each dataset the parent's first."""
    settings = config.evaluation.dynamics
    if settings is None:
        return
    for model in config.compressed_models():
        for dataset in settings.datasets:
            yield DynamicsRun(model, PARENT_PLAN, ORIGINAL, dataset, fine_tuned=False)
            stage, fine_tuned = config.final_stage(dataset)
            for plan in config.train_plans:
                yield DynamicsRun(model, plan, stage, dataset, fine_tuned)
