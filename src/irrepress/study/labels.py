"""The labels of datasets, according to the config."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from irrepress.catalogue.datasets.registry import get_published
from irrepress.catalogue.families import canonical_keyword, is_path
from irrepress.catalogue.model_ref import ModelRef
from irrepress.data.config import Published
from irrepress.data.datasets import AnyDataset, labelling_model_of
from irrepress.data.sources.config import Derived, Joined

Datasets = Mapping[str, AnyDataset]


class Checkpoint(Protocol):
    """What identifies a model: `ModelRef`, or `StudyModel`.

    Example:
        >>> reference: Checkpoint = ModelRef(family="sevennet", checkpoint="7net-0")
        >>> labels_key(reference)
        ('sevennet', '7net-0', None)
    """

    @property
    def family(self) -> str:
        """Name of the family."""

    @property
    def checkpoint(self) -> str | None:
        """Keyword or path; None for a model that is trained from scratch."""

    @property
    def modal(self) -> str | None:
        """Level of theory of a multi-modal checkpoint."""


def labels_key(model: Checkpoint) -> tuple[str, str | None, str | None]:
    """Return a key that identifies the labels predicted by a model."""
    checkpoint = model.checkpoint
    if checkpoint is not None and is_path(checkpoint):
        checkpoint = str(Path(checkpoint).resolve())
    elif checkpoint is not None:
        checkpoint = canonical_keyword(model.family, checkpoint)
    return model.family, checkpoint, model.modal


def labelling_model(datasets: Datasets, name: str) -> ModelRef | None:
    """Return the model that labels a dataset; None if its labels come from its source."""
    members = list(_members(datasets, name).values())
    return labelling_model_of(members[0])


def lacks_labels(datasets: Datasets, name: str) -> bool:
    """Return whether a dataset has no labels."""
    return any(_level(dataset) is None for dataset in _members(datasets, name).values())


def parts_of(datasets: Datasets, name: str) -> set[str]:
    """Return the splits that a dataset may have by its kind, whatever its fractions."""
    parts = set[str]()
    for dataset in _members(datasets, name).values():
        parts |= set(dataset.PARTS if isinstance(dataset, Derived) else Derived.PARTS)
    return parts


def mixed_labels(datasets: Datasets, name: str) -> str | None:
    """Return how the labels of a joined dataset differ, in words; None if they do not."""
    levels = {each: _level(dataset) for each, dataset in _members(datasets, name).items()}
    (first, one), *rest = levels.items()
    for other, level in rest:
        if level != one:
            return (
                f"the labels of {first!r} ({_in_words(one)}) and of {other!r} ({_in_words(level)}) "
                "are not the same"
            )
    return None


def _members(datasets: Datasets, name: str) -> dict[str, AnyDataset]:
    """Return a dataset by its name or, if it is joined, those that it is joined of."""
    dataset = datasets[name]
    if not isinstance(dataset, Joined):
        return {name: dataset}
    return {n: d for each in dataset.of for n, d in _members(datasets, each).items()}


def _level(dataset: AnyDataset) -> tuple[str, ...] | None:
    """Return what determines the labels of a dataset besides its structures; None: it has none."""
    if (model := labelling_model_of(dataset)) is not None:
        return tuple(str(part) for part in labels_key(model) if part is not None)
    if getattr(dataset, "labels", None) is False:
        return None
    if isinstance(dataset, Published):
        entry = get_published(dataset.name)
        return (entry.level_of_theory,) if entry.labels else None
    return (getattr(dataset, "level_of_theory", ""),)


def _in_words(level: tuple[str, ...] | None) -> str:
    return "none" if level is None else " ".join(level)
