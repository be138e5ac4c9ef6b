"""Every model of a study in a few lines: where it is, and how to load it."""

from collections.abc import Sequence
from dataclasses import dataclass

from irrepress.report.made import describe
from irrepress.report.story import Story
from irrepress.report.study import Run, Study, TaskRun
from irrepress.study.paths import PARENT_PLAN, ModelFolder


@dataclass(frozen=True)
class ModelGroup:
    """Some models, each as lines of text; ``title`` is empty for those that stories end at."""

    title: str
    models: list[str]


def model_groups(study: Study, stories: Sequence[Story]) -> list[ModelGroup]:
    """Return the models that stories end at, then all others; groups without any are left out.

    Raises:
        UserError: a card or metrics that cannot be read.
    """
    ends = [folder_of(study, story.final or story.smallest) for story in stories]
    compressed = [folder_of(study, run) for run in study.all_runs if not _is_base(run)]
    bases = [folder_of(study, run) for run in study.all_runs if _is_base(run)]
    groups = {
        "": ends,
        "Other compressed models": [folder for folder in compressed if folder not in ends],
        "Parents and baselines": [folder for folder in bases if folder not in ends],
    }
    return [
        ModelGroup(title, ["\n".join(describe(folder).lines()) for folder in folders])
        for title, folders in groups.items()
        if folders
    ]


def folder_of(study: Study, run: Run | TaskRun) -> ModelFolder:
    """Return the folder of a model's files."""
    folder = study.paths.stage(run.model, run.plan, run.stage.name)
    return folder.of_task(run.dataset, run.start) if isinstance(run, TaskRun) else folder


def _is_base(run: Run | TaskRun) -> bool:
    """Tell whether a model is a parent, or only there to compare with."""
    return run.plan == PARENT_PLAN or (isinstance(run, TaskRun) and run.start == "scratch")
