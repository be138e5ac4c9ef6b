"""Checks of names in a config that become paths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import TYPE_CHECKING

from irrepress.study.paths import BESIDE_MODELS, BESIDE_STUDIES, StudyPaths

if TYPE_CHECKING:
    from irrepress.study.config import Config


def name_mistakes(config: Config) -> Iterator[str]:
    """Yield a message for each invalid name in a config."""
    if config.name.casefold() in BESIDE_STUDIES:
        yield (
            f"name: {config.name!r} is reserved, because logs of downloads go to "
            f"logs/{config.name}/; choose another"
        )
    for model in config.models:
        if model.casefold() in BESIDE_MODELS:
            yield (
                f"models.{model}: the name is reserved for results/{config.name}/{model}/; choose "
                "another"
            )
    explicit = [f"sweep.explicit.{name}" for name in config.sweep.explicit]
    models = [f"models.{name}" for name in config.models]
    datasets = [f"datasets.{name}" for name in config.datasets]
    for keys in (models, datasets, explicit):
        yield from _differ_by_case(keys)
    yield from _one_archive_of_two(config)


def _differ_by_case(keys: Iterable[str]) -> Iterator[str]:
    """Find names that collide on case-insensitive file systems (macOS, Windows)."""
    seen: dict[str, str] = {}
    for key in keys:
        first = seen.setdefault(key.casefold(), key)
        if first != key:
            yield (
                f"{key}: differs from {first} only by case, which not every file system "
                "distinguishes; rename one"
            )


def _one_archive_of_two(config: Config) -> Iterator[str]:
    """Find archive names that two models would share."""
    seen: dict[str, str] = {}
    paths, stages = StudyPaths.of(config.name), config.stages()
    for model, plan, stage in product(config.compressed_models(), config.plans(), stages):
        archive = paths.archive(paths.stage(model, plan, stage.name)).name
        first = seen.setdefault(archive, model)
        if first != model:
            yield (
                f"models.{model}: with the plan {plan} its archive would have the same name as one "
                f"of models.{first}, {archive}; rename the model"
            )
            return
