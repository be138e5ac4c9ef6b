"""Which models of a study are validated, and beside which parent."""

from collections.abc import Iterator
from dataclasses import dataclass

from irrepress.study.config import Config
from irrepress.study.paths import PARENT_PLAN, ModelFolder, StudyPaths
from irrepress.study.stages import ORIGINAL, Stage


@dataclass(frozen=True)
class ValidationRun:
    """A model of a study that is validated.

    Attributes:
        model: name of the model in the config.
        plan: name of the plan.
        stage: the stage.
        dataset: the downstream dataset that it was fine-tuned on; None if it was not.

    Example:
        >>> run = ValidationRun("m", "taylor-0.50", Stage("distilled"), None)
        >>> run.folder(StudyPaths.of("tiny")).validation.as_posix()
        'results/tiny/m/taylor-0.50/distilled/validation.json'
    """

    model: str
    plan: str
    stage: Stage
    dataset: str | None

    @property
    def name(self) -> str:
        """The name of its stage in tables."""
        return self.stage.name if self.dataset is None else f"{self.stage.name}, fine-tuned"

    def folder(self, paths: StudyPaths) -> ModelFolder:
        """Return the folder of the model."""
        folder = paths.stage(self.model, self.plan, self.stage.name)
        return folder if self.dataset is None else folder.of_task(self.dataset, "finetuned")


def validation_runs(config: Config) -> Iterator[ValidationRun]:
    """Yield the models that a config asks to validate.

    They are the last stage of the trained plans, or, if the structures are of a downstream dataset,
    the models that were fine-tuned on it.
    """
    if config.validation is None:
        return
    dataset = config.validation.dataset
    stage, fine_tuned = config.final_stage(dataset)
    for model in config.compressed_models():
        for plan in config.train_plans:
            yield ValidationRun(model, plan, stage, dataset if fine_tuned else None)


def reference_folder(config: Config, paths: StudyPaths, folder: ModelFolder) -> ModelFolder:
    """Return the folder of the parent that a model is validated beside.

    A fine-tuned model is compared with the parent that was fine-tuned alike, if there is one.
    """
    parent = paths.stage(folder.model, PARENT_PLAN, ORIGINAL.name)
    downstream = config.downstream
    if folder.dataset is None or downstream is None or "parent" not in downstream.baselines:
        return parent
    return parent.of_task(folder.dataset, "finetuned")
