"""What jobs of a study read: files of the user, downloads, and what other jobs make."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irrepress.catalogue.datasets.registry import get_published
from irrepress.catalogue.families import is_path, published_checkpoint
from irrepress.catalogue.model_ref import ModelRef
from irrepress.core.errors import UserError
from irrepress.data.config import Files, Generated, Perturbed, Published
from irrepress.data.paths import contents, locate
from irrepress.study.config import Config
from irrepress.study.contents import Contents
from irrepress.study.models import StudyModel
from irrepress.study.paths import DownloadPaths, StudyPaths
from irrepress.study.preflight import labels_key, model_references
from irrepress.study.stages import Stage

AnyDataset = Files | Generated | Perturbed | Published
AnyModel = ModelRef | StudyModel


def downloads(config: Config) -> list[tuple[str, str]]:
    """Return collection and name of every file that datasets and checkpoints need, sorted."""
    published = [d for d in config.datasets.values() if isinstance(d, Published)]
    found = {download for dataset in published for download in _downloads_of(dataset)}
    checkpoints = (_checkpoint_download(model) for _, model in model_references(config))
    return sorted(found | {download for download in checkpoints if download is not None})


def _downloads_of(dataset: Published) -> list[tuple[str, str]]:
    entry = get_published(dataset.name)
    return [(entry.collection, file.name) for file in (*entry.files, *entry.tables)]


def _checkpoint_download(model: AnyModel) -> tuple[str, str] | None:
    """Collection and name of the file that a keyword stands for; None if it is not downloaded."""
    if model.checkpoint is None or is_path(model.checkpoint):
        return None
    published = published_checkpoint(model.family, model.checkpoint)
    return None if published is None else (model.family, published[0].name)


def user_files(dataset: Files) -> list[str]:
    """Return the files of the user that a dataset is read from."""
    return [str(file) for path in locate(dataset).all() for file in contents(path)]


@dataclass(frozen=True)
class Inputs:
    """The inputs of jobs.

    Attributes:
        config: the config.
        paths: where the files of the study lie.
        contents: what files of the user contain.
        of_the_user: makes files of the user the inputs of a rule.
    """

    config: Config
    paths: StudyPaths
    contents: Contents
    of_the_user: Callable[[Sequence[str]], list[Any]] = list

    def files(self, dataset: AnyDataset) -> list[Any]:
        """What a dataset is read from: the user's files, or the records of downloads."""
        if isinstance(dataset, Files):
            return self.of_the_user(user_files(dataset))
        if isinstance(dataset, Published):
            return [self._record(*download) for download in _downloads_of(dataset)]
        return []

    def checkpoint(self, model: AnyModel) -> list[Any]:
        """A checkpoint: its file or the record of its download.

        Nothing for a keyword of a file that the family's own package holds, and for a model that
        the study trains from scratch.
        """
        if model.checkpoint is not None and is_path(model.checkpoint):
            return self.of_the_user([model.checkpoint])
        download = _checkpoint_download(model)
        return [] if download is None else [self._record(*download)]

    def content_of_files(self, dataset: AnyDataset) -> str | None:
        """One SHA-256 for the user's files of a dataset; None if there are none."""
        return self._content(user_files(dataset)) if isinstance(dataset, Files) else None

    def content_of_checkpoint(self, model: AnyModel) -> str | None:
        """The SHA-256 of a checkpoint of the user; None for a keyword."""
        path = model.checkpoint
        return self._content([path]) if path is not None and is_path(path) else None

    def teacher(self, dataset: str, model: str) -> Path:
        """The store of a dataset labelled by a parent.

        It is the dataset itself, if it has the labels of the parent already.
        """
        labels = getattr(self.config.datasets[dataset], "labels", None)
        if labels is not None and labels_key(labels) == labels_key(self.config.models[model]):
            return self.paths.data(dataset)
        return self.paths.teacher(model, dataset)

    def plan(self, model: str, plan: str) -> list[Path]:
        """The plan that a model was made by; nothing for a parent."""
        return [self.paths.plan(model, plan)] if plan in self.config.plans() else []

    def packed(self, model: str, plan: str, stage: str) -> list[Path]:
        """The packed weights of a quantized model; nothing for others."""
        folder = self.paths.stage(model, plan, stage)
        return [] if Stage.parse(stage).bits is None else [folder.packed]

    def shapes(self, model: str) -> list[Path]:
        """The table that times are predicted from, where budgets are counted in time."""
        return [self.paths.shapes(model)] if self.config.sweep.unit == "time" else []

    def guides(self, model: str, plan: str) -> dict[str, Path]:
        """What a distillation reads beside the teacher's labels, if it follows features, too."""
        if self.config.distillation is None or self.config.distillation.features == 0:
            return {}
        return {
            "parent": self.paths.parent(model).model_file,
            "plan": self.paths.plan(model, plan),
        }

    def elements(self, model: str) -> dict[str, Path]:
        """The dataset whose elements a parent keeps, if it is to keep some only."""
        name = self.config.models[model].restrict_to
        return {} if name is None else {"store": self.paths.data(name)}

    def _record(self, collection: str, file: str) -> Path:
        return DownloadPaths(Path(self.config.downloads.directory)).record(collection, file)

    def _content(self, paths: Sequence[str]) -> str | None:
        """One SHA-256 for files; None if one cannot be read, which its job tells."""
        try:
            return self.contents.of_all(paths)
        except UserError:
            return None
