"""Inputs of a study's jobs: user files, downloads, and outputs of other jobs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irrepress.catalogue.datasets.registry import get_published
from irrepress.catalogue.families import is_path, published_checkpoint
from irrepress.catalogue.model_ref import ModelRef
from irrepress.core.errors import UserError
from irrepress.data.config import Files, Published
from irrepress.data.datasets import AnyDataset
from irrepress.data.paths import contents, locate
from irrepress.study.config import Config
from irrepress.study.contents import Contents
from irrepress.study.labels import labelling_model, labels_key
from irrepress.study.models import StudyModel
from irrepress.study.paths import DownloadPaths, StudyPaths
from irrepress.study.preflight import model_references
from irrepress.study.stages import Stage
from irrepress.study.validation import reference_folder

AnyModel = ModelRef | StudyModel


def downloads(config: Config) -> list[tuple[str, str]]:
    """Return the sorted (collection, name) of every file that datasets and checkpoints need."""
    published = [d for d in config.datasets.values() if isinstance(d, Published)]
    found = {download for dataset in published for download in _downloads_of(dataset)}
    checkpoints = (_checkpoint_download(model) for _, model in model_references(config))
    return sorted(found | {download for download in checkpoints if download is not None})


def _downloads_of(dataset: Published) -> list[tuple[str, str]]:
    entry = get_published(dataset.name)
    return [(entry.collection, file.name) for file in (*entry.files, *entry.tables)]


def _checkpoint_download(model: AnyModel) -> tuple[str, str] | None:
    """Return (collection, name) of the file for a keyword; None if it is not downloaded."""
    if model.checkpoint is None or is_path(model.checkpoint):
        return None
    published = published_checkpoint(model.family, model.checkpoint)
    return None if published is None else (model.family, published[0].name)


def user_files(dataset: Files) -> list[str]:
    """Return the user files that a dataset is read from."""
    return [str(file) for path in locate(dataset).all() for file in contents(path)]


@dataclass(frozen=True)
class Inputs:
    """The inputs of a study's jobs.

    Attributes:
        config: the config.
        paths: paths of the study's files.
        contents: SHA-256 of user files.
        of_the_user: function that turns user files into inputs of a rule.

    Example:
        >>> inputs = Inputs(config, StudyPaths.of("tiny"), Contents("hashes.json"))
        >>> inputs.teacher("silicon", "m").as_posix()
        'results/tiny/m/parent/original/teacher/silicon.h5'
    """

    config: Config
    paths: StudyPaths
    contents: Contents
    of_the_user: Callable[[Sequence[str]], list[Any]] = list

    def files(self, dataset: AnyDataset) -> list[Any]:
        """Return the inputs of a dataset: user files, or records of downloads."""
        if isinstance(dataset, Files):
            return self.of_the_user(user_files(dataset))
        if isinstance(dataset, Published):
            return [self._record(*download) for download in _downloads_of(dataset)]
        return []

    def checkpoint(self, model: AnyModel) -> list[Any]:
        """Return the input for a checkpoint: its file or the record of its download.

        It is empty for a keyword of a file in the family's own package, and for a model that is
        trained from scratch.
        """
        if model.checkpoint is not None and is_path(model.checkpoint):
            return self.of_the_user([model.checkpoint])
        download = _checkpoint_download(model)
        return [] if download is None else [self._record(*download)]

    def content_of_files(self, dataset: AnyDataset) -> str | None:
        """Return a joint SHA-256 of the user files of a dataset; None if there are none."""
        return self._content(user_files(dataset)) if isinstance(dataset, Files) else None

    def content_of_checkpoint(self, model: AnyModel) -> str | None:
        """Return the SHA-256 of a user's checkpoint; None for a keyword."""
        path = model.checkpoint
        return self._content([path]) if path is not None and is_path(path) else None

    def teacher(self, dataset: str, model: str) -> Path:
        """Return the store of a dataset labelled by a parent.

        This is the dataset itself if its labels already come from the parent.
        """
        labels = labelling_model(self.config.datasets, dataset)
        if labels is not None and labels_key(labels) == labels_key(self.config.models[model]):
            return self.paths.data(dataset)
        return self.paths.teacher(model, dataset)

    def plan(self, model: str, plan: str) -> list[Path]:
        """Return the plan of a model; empty for a parent."""
        return [self.paths.plan(model, plan)] if plan in self.config.plans() else []

    def packed(self, model: str, plan: str, stage: str) -> list[Path]:
        """Return the packed weights of a quantized model; empty for others."""
        folder = self.paths.stage(model, plan, stage)
        return [] if Stage.parse(stage).bits is None else [folder.packed]

    def shapes(self, model: str) -> list[Path]:
        """Return the table of timed shapes if budgets limit time, otherwise nothing."""
        return [self.paths.shapes(model)] if self.config.sweep.limits_time else []

    def guides(self, model: str, plan: str) -> dict[str, Path]:
        """Return the additional inputs of a distillation that needs more than labels."""
        settings = self.config.distillation
        found: dict[str, Path] = {}
        if settings is not None and (settings.features > 0 or settings.has_targets):
            found["parent"] = self.paths.parent(model).model_file
        if settings is not None and settings.features > 0:
            found["plan"] = self.paths.plan(model, plan)
        return found

    def validation_reference(
        self,
        model: str,
        plan: str,
        stage: str,
        dataset: str | None = None,
        start: str | None = None,
    ) -> Path:
        """Return the values of the parent that a model is validated with."""
        folder = self.paths.stage(model, plan, stage).of_task(dataset, start)
        return reference_folder(self.config, self.paths, folder).validation_reference

    def elements(self, model: str) -> dict[str, Path]:
        """Return the dataset whose elements a parent is restricted to, if any."""
        name = self.config.models[model].restrict_to
        return {} if name is None else {"store": self.paths.data(name)}

    def _record(self, collection: str, file: str) -> Path:
        return DownloadPaths(Path(self.config.downloads.directory)).record(collection, file)

    def _content(self, paths: Sequence[str]) -> str | None:
        """Return a joint SHA-256 of files; None if one cannot be read, which its job reports."""
        try:
            return self.contents.of_all(paths)
        except UserError:
            return None
