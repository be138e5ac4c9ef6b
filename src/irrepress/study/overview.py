"""A short overview of what a study would compute."""

from collections.abc import Iterator

from irrepress.data.config import Perturbed
from irrepress.study.config import Config
from irrepress.study.paths import StudyPaths


def overview(config: Config) -> Iterator[str]:
    """Yield lines on the results folder, models, plans, stages and datasets of a study."""
    yield f"results: {StudyPaths.of(config.name).results.as_posix()}/"
    for name, dataset in config.datasets.items():
        if isinstance(dataset, Perturbed):
            own = f", and {dataset.of} itself (keep_unperturbed)" * dataset.keep_unperturbed
            yield f"{name}: {dataset.count:,} perturbed copies of {dataset.of}{own}"
    yield f"models:  {', '.join(config.models)}"
    yield f"plans:   {', '.join(config.plans())}"
    stages = ", ".join(stage.name for stage in config.stages())
    yield f"stages:  {stages} of {', '.join(config.train_plans) or '-'}"
    if config.downstream:
        yield f"downstream: {', '.join(config.downstream.datasets)}"
