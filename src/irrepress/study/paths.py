"""Paths of a study's files: results, logs and benchmarks.

Names of models, plans and so on default to wildcards of Snakemake: a path with wildcards is the
pattern of a rule.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from irrepress.study.stages import ORIGINAL

PARENT_PLAN, PARENT_STAGE = "parent", ORIGINAL.name
# The stage of a parent before it is trained from scratch.
UNTRAINED_STAGE = "untrained"
TABLES = ("sweep", "downstream", "cost", "errors", "data", "suspects", "usage")
DYNAMICS_TABLE, VALIDATION_TABLE, DEPLOY_TABLE = "dynamics", "validation", "deploy"

# Names that are the same in every study.
MODEL, REPORT = "model.pt", "report/index.html"
_DOWNSTREAM, _TEACHER = "downstream", "teacher"
_DATA, _ARCHIVES, _DOWNLOADS = "data", "archives", "downloads"
# Other folders beside those of models in results, and beside those of studies in logs.
BESIDE_MODELS = (_DATA, Path(REPORT).parent.name, _ARCHIVES)
BESIDE_STUDIES = (_DOWNLOADS,)
_BENCHMARK, _ARCHIVE = ".benchmark.tsv", ".tar.gz"


@dataclass(frozen=True)
class ModelFolder:
    """The folder of one model: a parent, a stage of a plan, or a model of a downstream dataset.

    Attributes:
        results: the results of the study.
        model: name of the model in the config.
        plan: name of the plan; ``parent`` for the parent.
        stage: name of the stage; ``original`` for the parent.
        dataset: the downstream dataset, if any.
        start: kind of the downstream model: ``finetuned``, ``scratch`` or ``restricted``.

    Example:
        >>> folder = ModelFolder(Path("results/mine"), "mace", "taylor-0.50", "recovered")
        >>> folder.metrics.as_posix()
        'results/mine/mace/taylor-0.50/recovered/metrics.json'
    """

    results: Path
    model: str
    plan: str
    stage: str
    dataset: str | None = None
    start: str | None = None

    @classmethod
    def of(cls, folder: str | Path) -> "ModelFolder":
        """Parse a path."""
        parts = Path(folder).parts
        dataset = start = None
        if parts[-3:-2] == (_DOWNSTREAM,):
            dataset, start = parts[-2:]
            parts = parts[:-3]
        model, plan, stage = parts[-3:]
        return cls(Path(*parts[:-3]), model, plan, stage, dataset, start)

    @property
    def path(self) -> Path:
        """The folder itself."""
        stage = self.results / self.model / self.plan / self.stage
        if self.dataset is None or self.start is None:
            return stage
        return stage / _DOWNSTREAM / self.dataset / self.start

    @property
    def name(self) -> str:
        """What its model is called within the study: ``sevennet-0/taylor-0.50/pruned``."""
        return self.path.relative_to(self.results).as_posix()

    @property
    def model_file(self) -> Path:
        """Path of the model in its family's own format."""
        return self.path / MODEL

    @property
    def card(self) -> Path:
        """Path of the model's card."""
        return self.path / "card.json"

    @property
    def metrics(self) -> Path:
        """Path of the model's metrics."""
        return self.path / "metrics.json"

    @property
    def training(self) -> Path:
        """Path of its training curve."""
        return self.path / "training.csv"

    @property
    def frames(self) -> Path:
        """Path of the frames that its refinement added."""
        return self.path / "frames.h5"

    @property
    def packed(self) -> Path:
        """Path of its packed weights."""
        return self.path / "packed.pt"

    @property
    def fits(self) -> Path:
        """Path of the fits of its compensation."""
        return self.path / "fits.csv"

    def dynamics(self, dataset: str = "{dataset}") -> Path:
        """Molecular dynamics of a structure of a dataset with it."""
        return self.path / "dynamics" / f"{dataset}.json"

    @property
    def validation(self) -> Path:
        """Path of what was measured of the model beside its parent."""
        return self.path / "validation.json"

    @property
    def validation_reference(self) -> Path:
        """Path of the values of a parent that its models are compared with."""
        return self.path / "validation-reference.json"

    def deployment(self, target: str = "{target}") -> Path:
        """Return the path of the record of its deployment for a target."""
        return self.path / "deploy" / target / "deployment.json"

    @property
    def is_of_the_parent(self) -> bool:
        """Whether it belongs to the parent."""
        return self.plan == PARENT_PLAN

    @property
    def untuned(self) -> "ModelFolder":
        """The folder of the model before downstream training."""
        return ModelFolder(self.results, self.model, self.plan, self.stage)

    @property
    def parent(self) -> "ModelFolder":
        """The folder of the unpruned model."""
        return ModelFolder(self.results, self.model, PARENT_PLAN, PARENT_STAGE)

    def of_task(self, dataset: str | None, start: str | None) -> "ModelFolder":
        """Return the folder of a downstream model made from this one."""
        return ModelFolder(self.results, self.model, self.plan, self.stage, dataset, start)


@dataclass(frozen=True)
class StudyPaths:
    """The paths of a study.

    Attributes:
        results: folder of the results.
        logs: folder of logs and benchmarks, with the same structure.

    Example:
        >>> paths = StudyPaths.of("mine")
        >>> paths.plan().as_posix(), paths.plan("mace", "taylor-0.50").as_posix()
        ('results/mine/{model}/{plan}/plan.json', 'results/mine/mace/taylor-0.50/plan.json')
        >>> paths.log(paths.plan()).as_posix()
        'logs/mine/{model}/{plan}/plan.log'
    """

    results: Path
    logs: Path

    @classmethod
    def of(cls, study: str) -> "StudyPaths":
        """Return the paths of a study by its name, relative to the working directory."""
        return cls.at(Path("results", study))

    @classmethod
    def at(cls, results: str | Path) -> "StudyPaths":
        """Return the paths of a study by its results folder; ``logs`` is beside ``results``."""
        results = Path(results)
        return cls(results, results.parents[1] / "logs" / results.name)

    def data(self, dataset: str = "{dataset}") -> Path:
        """Return the path of a dataset's store."""
        return self.results / _DATA / f"{dataset}.h5"

    def structures(self, dataset: str = "{dataset}") -> Path:
        """Return the path of the structures of a dataset that a model is to label."""
        return self.results / _DATA / f"{dataset}.structures.h5"

    def summary(self, dataset: str = "{dataset}") -> Path:
        """Return the path of a dataset's summary."""
        return self.results / _DATA / f"{dataset}.summary.json"

    def teacher(self, model: str = "{model}", dataset: str = "{dataset}") -> Path:
        """Return the path of the store of a dataset labelled by a parent."""
        return self.parent(model).path / _TEACHER / f"{dataset}.h5"

    def scores(self, model: str = "{model}") -> Path:
        """Return the path of a parent's scores."""
        return self.results / model / "scores.h5"

    def shapes(self, model: str = "{model}") -> Path:
        """Return the path of the table of a parent's timed shapes."""
        return self.results / model / "shapes.json"

    def plan(self, model: str = "{model}", plan: str = "{plan}") -> Path:
        """Return the path of a plan."""
        return self.results / model / plan / "plan.json"

    def stage(
        self, model: str = "{model}", plan: str = "{plan}", stage: str = "{stage}"
    ) -> ModelFolder:
        """Return the folder of a stage of a plan or of the parent."""
        return ModelFolder(self.results, model, plan, stage)

    def parent(self, model: str = "{model}") -> ModelFolder:
        """The folder of the unpruned model."""
        return self.stage(model, PARENT_PLAN, PARENT_STAGE)

    def untrained(self, model: str = "{model}") -> ModelFolder:
        """Return the folder of the parent before it is trained from scratch."""
        return self.stage(model, PARENT_PLAN, UNTRAINED_STAGE)

    def task(
        self,
        model: str = "{model}",
        plan: str = "{plan}",
        stage: str = "{stage}",
        dataset: str = "{dataset}",
        start: str = "{start}",
    ) -> ModelFolder:
        """Return the folder of a downstream model made from a stage."""
        return self.stage(model, plan, stage).of_task(dataset, start)

    def cards(self, model: str) -> list[Path]:
        """Return the existing cards of all stages of a model."""
        return sorted((self.results / model).rglob(self.parent().card.name))

    def archive(self, folder: ModelFolder) -> Path:
        """Return the path of a model's archive."""
        names = [folder.model, folder.plan, folder.stage]
        names += [name for name in (folder.start, folder.dataset) if name is not None]
        return self.results / _ARCHIVES / f"{'_'.join(names)}{_ARCHIVE}"

    @property
    def page(self) -> Path:
        """Path of the report."""
        return self.results / REPORT

    def table(self, name: str) -> Path:
        """A table of the report, one of `TABLES`, or one that is asked for."""
        return self.page.with_name(f"{name}.csv")

    def log(self, output: Path) -> Path:
        """Return the path of the log of the job that writes a file, or of a rule for a pattern."""
        return self._mirrored(output, ".log")

    def benchmark(self, output: Path) -> Path:
        """Return the path of Snakemake's benchmark of the job that writes a file."""
        return self._mirrored(output, _BENCHMARK)

    def benchmarks(self) -> Iterator[Path]:
        """Yield the existing benchmarks in order."""
        yield from sorted(self.logs.rglob(f"*{_BENCHMARK}"))

    def _mirrored(self, output: Path, suffix: str) -> Path:
        place = output.relative_to(self.results)
        archive = place.name.removesuffix(_ARCHIVE)  # names of plans contain dots as well
        stem = place.stem if archive == place.name else archive
        return self.logs / place.with_name(f"{stem}{suffix}")


@dataclass(frozen=True)
class DownloadPaths:
    """Paths of downloads, which studies share.

    Attributes:
        directory: the download folder in the config.

    Example:
        >>> DownloadPaths(Path("downloads")).file("mptrj", "mptrj.zip").as_posix()
        'downloads/mptrj/mptrj.zip'
    """

    directory: Path

    def file(self, collection: str, file: str) -> Path:
        """Return the path of a downloaded file."""
        return self.directory / collection / file

    def record(self, collection: str = "{collection}", file: str = "{file}") -> Path:
        """Return the path of the record of a verified download."""
        return self.directory / collection / f"{file}.json"

    @staticmethod
    def log() -> Path:
        """Return the path of the log of a download."""
        return Path("logs", _DOWNLOADS, "{collection}", "{file}.log")

    @staticmethod
    def benchmark() -> Path:
        """Return the path of the benchmark of a download."""
        return Path("logs", _DOWNLOADS, "{collection}", f"{{file}}{_BENCHMARK}")


def match(pattern: Path, path: Path) -> dict[str, str] | None:
    """Return the values of a pattern's wildcards in a path; None if it does not match.

    >>> match(Path("{model}/scores.h5"), Path("mace/scores.h5"))
    {'model': 'mace'}
    """
    parts = re.split(r"{(\w+)}", pattern.as_posix())
    regex = "".join(f"(?P<{p}>[^/]+)" if i % 2 else re.escape(p) for i, p in enumerate(parts))
    found = re.fullmatch(regex, path.as_posix())
    return None if found is None else found.groupdict()
