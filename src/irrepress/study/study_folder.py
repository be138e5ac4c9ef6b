"""A folder that holds a config and, beside it, everything that the workflow makes of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irrepress.core.errors import UserError
from irrepress.core.files import read_json, write_json
from irrepress.evaluation.physics.verdicts import Validated
from irrepress.study.config import Config
from irrepress.study.drafts import Draft
from irrepress.study.paths import ModelFolder, StudyPaths
from irrepress.study.reading import load_config
from irrepress.study.validation import validation_runs

# What was asked for when the config was written: name of an argument -> its value.
Request = Mapping[str, Any]


@dataclass(frozen=True)
class StudyFolder:
    """The folder of a study of a user's own files.

    Attributes:
        path: the folder; the workflow runs in it.

    Example:
        >>> StudyFolder(Path("silicon")).config_file.as_posix()
        'silicon/config.yaml'
    """

    path: Path

    @property
    def config_file(self) -> Path:
        """The config, which is written once and then belongs to the user."""
        return self.path / "config.yaml"

    @property
    def _record(self) -> Path:
        return self.path / ".irrepress.json"

    def is_begun(self, request: Request) -> bool:
        """Tell whether the folder holds the study that is asked for; False if it holds nothing.

        Raises:
            UserError: if it contains something else.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path}: is a file; name a folder for the results")
        if not self.config_file.exists():
            if self.path.is_dir() and any(self.path.iterdir()):
                raise UserError(
                    f"{self.path}: is not empty, and holds no study; name another folder"
                )
            return False
        if not self._record.exists():
            raise UserError(
                f"{self.config_file}: was not written by this command; name another folder, or "
                "run that study by snakemake"
            )
        begun, asked = read_json(self._record), _plain(request)
        for name in sorted({*begun, *asked}):
            was, value = begun.get(name), asked.get(name)
            if was != value:
                raise UserError(
                    f"{self.path}: holds a study with {name} {_shown(was)}, not {_shown(value)}; "
                    f"name another folder, or edit {self.config_file} and repeat the command that "
                    "began it"
                )
        return True

    def begin(self, draft: Draft, request: Request) -> None:
        """Write the config of a new study."""
        draft.write(self.config_file)
        write_json(self._record, _plain(request))

    def config(self) -> Config:
        """Return the config as it is now.

        Raises:
            UserError: if it was edited and is no longer a valid config.
        """
        return load_config(self.config_file)

    def models(self) -> Iterator[Path]:
        """Yield the files of the models that the study is for, as far as they are made."""
        config, paths = self.config(), self._paths()
        for model in config.compressed_models():
            for plan in config.train_plans:
                folder = _last(config, paths, model, plan)
                if folder.model_file.exists():
                    yield folder.model_file

    def validations(self) -> Iterator[Validated]:
        """Yield how models were found to be beside their parents, as far as that was measured."""
        config, paths = self.config(), self._paths()
        for run in validation_runs(config):
            path = run.folder(paths).validation
            if path.exists():
                yield Validated.load(path)

    def page(self) -> Path:
        """Return the page of the report."""
        return self._paths().page

    def _paths(self) -> StudyPaths:
        return StudyPaths.at(self.path / StudyPaths.of(self.config().name).results)


def _last(config: Config, paths: StudyPaths, model: str, plan: str) -> ModelFolder:
    """Return the folder of the last model that a plan becomes."""
    if config.downstream and config.final_dataset:
        stage = config.downstream.stage
        return paths.task(model, plan, stage, config.final_dataset, "finetuned")
    return paths.stage(model, plan, config.stages_of(plan)[-1].name)


def _plain(request: Request) -> dict[str, Any]:
    return {name: value for name, value in request.items() if value not in (None, [], {})}


def _shown(value: Any) -> str:
    if value is None:
        return "as it is by default"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
