"""A short overview of what a study would compute."""

from collections.abc import Iterator

from irrepress.data.sources.config import Drawn, Joined, Perturbed, Sampled
from irrepress.study.config import Config
from irrepress.study.paths import StudyPaths


def overview(config: Config) -> Iterator[str]:
    """Yield lines on the results folder, models, plans, stages and datasets of a study."""
    yield f"results: {StudyPaths.of(config.name).results.as_posix()}/"
    for name, dataset in config.datasets.items():
        if isinstance(dataset, Perturbed):
            own = f", and {dataset.of} itself (keep_unperturbed)" * dataset.keep_unperturbed
            yield f"{name}: {dataset.count:,} perturbed copies of {dataset.of}{own}"
        if isinstance(dataset, Joined):
            yield f"{name}: {', '.join(dataset.of)} joined"
        if isinstance(dataset, Drawn):
            yield f"{name}: {dataset.count:,} {dataset.source} structures from {dataset.of}"  # type: ignore[attr-defined]
        if isinstance(dataset, Sampled):
            temperatures = ", ".join(f"{temperature:g}" for temperature in dataset.temperatures)
            yield (
                f"{name}: {dataset.count:,} frames of dynamics from {dataset.of} at {temperatures} "
                "K"
            )
    yield f"models:  {', '.join(config.models)}"
    yield f"plans:   {', '.join(config.plans())}"
    stages = ", ".join(stage.name for stage in config.stages())
    yield f"stages:  {stages} of {', '.join(config.train_plans) or '-'}"
    if config.downstream:
        yield f"downstream: {', '.join(config.downstream.datasets)}"
