"""Where every file of a study lies: results, logs and benchmarks.

Names of models, plans and so on are wildcards of Snakemake unless they are given: a path with
wildcards is the pattern of a rule.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from irrepress.study.stages import ORIGINAL

PARENT_PLAN, PARENT_STAGE = "parent", ORIGINAL.name
# The stage of a parent that is to be trained from scratch.
UNTRAINED_STAGE = "untrained"
TABLES = ("sweep", "downstream", "cost", "errors", "data", "suspects", "usage")
DYNAMICS_TABLE = "dynamics"

# Names that are the same in every study.
MODEL, REPORT = "model.pt", "report/index.html"
_DOWNSTREAM, _TEACHER = "downstream", "teacher"
_DATA, _ARCHIVES, _DOWNLOADS = "data", "archives", "downloads"
# What lies beside the models in the results of a study, and beside the studies in logs.
BESIDE_MODELS = (_DATA, Path(REPORT).parent.name, _ARCHIVES)
BESIDE_STUDIES = (_DOWNLOADS,)
_BENCHMARK, _ARCHIVE = ".benchmark.tsv", ".tar.gz"


@dataclass(frozen=True)
class ModelFolder:
    """The folder of one model: a parent, a stage of a plan, or a model of a downstream dataset.

    >>> folder = ModelFolder(Path("results/mine"), "mace", "taylor-0.50", "recovered")
    >>> folder.metrics.as_posix()
    'results/mine/mace/taylor-0.50/recovered/metrics.json'

    Attributes:
        results: the results of the study.
        model: name of the model in the config.
        plan: name of the plan; ``parent`` for what no plan made.
        stage: name of the stage; ``original`` for the parent.
        dataset: the downstream dataset, if it was made for one.
        start: what was done for that: ``finetuned``, ``scratch`` or ``restricted``.
    """

    results: Path
    model: str
    plan: str
    stage: str
    dataset: str | None = None
    start: str | None = None

    @classmethod
    def of(cls, folder: str | Path) -> "ModelFolder":
        """Tell from a path which model lies there."""
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
    def model_file(self) -> Path:
        """The model in its family's own format."""
        return self.path / MODEL

    @property
    def card(self) -> Path:
        """How the model came about."""
        return self.path / "card.json"

    @property
    def metrics(self) -> Path:
        """What was measured on it."""
        return self.path / "metrics.json"

    @property
    def training(self) -> Path:
        """The curve of its training."""
        return self.path / "training.csv"

    @property
    def packed(self) -> Path:
        """Its weights in few bits."""
        return self.path / "packed.pt"

    @property
    def fits(self) -> Path:
        """The fits of its compensation."""
        return self.path / "fits.csv"

    def dynamics(self, dataset: str = "{dataset}") -> Path:
        """Molecular dynamics of a structure of a dataset with it."""
        return self.path / "dynamics" / f"{dataset}.json"

    @property
    def is_of_the_parent(self) -> bool:
        """Whether no plan made it."""
        return self.plan == PARENT_PLAN

    @property
    def untuned(self) -> "ModelFolder":
        """The model that it was made from, if it was made for a downstream dataset."""
        return ModelFolder(self.results, self.model, self.plan, self.stage)

    @property
    def parent(self) -> "ModelFolder":
        """The uncompressed model."""
        return ModelFolder(self.results, self.model, PARENT_PLAN, PARENT_STAGE)

    def of_task(self, dataset: str | None, start: str | None) -> "ModelFolder":
        """The folder of what is made from it for a downstream dataset."""
        return ModelFolder(self.results, self.model, self.plan, self.stage, dataset, start)


@dataclass(frozen=True)
class StudyPaths:
    """Every path of a study.

    >>> paths = StudyPaths.of("mine")
    >>> paths.plan().as_posix(), paths.plan("mace", "taylor-0.50").as_posix()
    ('results/mine/{model}/{plan}/plan.json', 'results/mine/mace/taylor-0.50/plan.json')
    >>> paths.log(paths.plan()).as_posix()
    'logs/mine/{model}/{plan}/plan.log'

    Attributes:
        results: folder of what the study makes.
        logs: folder of logs and benchmarks, which mirrors that of the results.
    """

    results: Path
    logs: Path

    @classmethod
    def of(cls, study: str) -> "StudyPaths":
        """Return the paths of a study by its name, relative to where the workflow runs."""
        return cls.at(Path("results", study))

    @classmethod
    def at(cls, results: str | Path) -> "StudyPaths":
        """Return the paths of a study by the folder of its results; logs lie beside ``results``."""
        results = Path(results)
        return cls(results, results.parents[1] / "logs" / results.name)

    def data(self, dataset: str = "{dataset}") -> Path:
        """The store of a dataset."""
        return self.results / _DATA / f"{dataset}.h5"

    def summary(self, dataset: str = "{dataset}") -> Path:
        """What a dataset holds."""
        return self.results / _DATA / f"{dataset}.summary.json"

    def teacher(self, model: str = "{model}", dataset: str = "{dataset}") -> Path:
        """A dataset labelled by a parent."""
        return self.parent(model).path / _TEACHER / f"{dataset}.h5"

    def scores(self, model: str = "{model}") -> Path:
        """The scores of a parent's blocks."""
        return self.results / model / "scores.h5"

    def shapes(self, model: str = "{model}") -> Path:
        """The measured times of shapes of a parent."""
        return self.results / model / "shapes.json"

    def plan(self, model: str = "{model}", plan: str = "{plan}") -> Path:
        """A plan."""
        return self.results / model / plan / "plan.json"

    def stage(
        self, model: str = "{model}", plan: str = "{plan}", stage: str = "{stage}"
    ) -> ModelFolder:
        """A stage of a plan, or of the parent."""
        return ModelFolder(self.results, model, plan, stage)

    def parent(self, model: str = "{model}") -> ModelFolder:
        """The uncompressed model."""
        return self.stage(model, PARENT_PLAN, PARENT_STAGE)

    def untrained(self, model: str = "{model}") -> ModelFolder:
        """The parent before it is trained from scratch."""
        return self.stage(model, PARENT_PLAN, UNTRAINED_STAGE)

    def task(
        self,
        model: str = "{model}",
        plan: str = "{plan}",
        stage: str = "{stage}",
        dataset: str = "{dataset}",
        start: str = "{start}",
    ) -> ModelFolder:
        """What is made of a stage for a downstream dataset."""
        return self.stage(model, plan, stage).of_task(dataset, start)

    def cards(self, model: str) -> list[Path]:
        """The cards of a model that are there, of all its stages."""
        return sorted((self.results / model).rglob(self.parent().card.name))

    def archive(self, folder: ModelFolder) -> Path:
        """The archive of a model."""
        names = [folder.model, folder.plan, folder.stage]
        names += [name for name in (folder.start, folder.dataset) if name is not None]
        return self.results / _ARCHIVES / f"{'_'.join(names)}{_ARCHIVE}"

    @property
    def page(self) -> Path:
        """The page of the report."""
        return self.results / REPORT

    def table(self, name: str) -> Path:
        """A table of the report, one of `TABLES` or `DYNAMICS_TABLE`."""
        return self.page.with_name(f"{name}.csv")

    def log(self, output: Path) -> Path:
        """The log of the job that makes a file, or of the rule that makes files of a pattern."""
        return self._mirrored(output, ".log")

    def benchmark(self, output: Path) -> Path:
        """What the job that makes a file took, as Snakemake measured it."""
        return self._mirrored(output, _BENCHMARK)

    def benchmarks(self) -> Iterator[Path]:
        """Yield the benchmarks that are there, in order."""
        yield from sorted(self.logs.rglob(f"*{_BENCHMARK}"))

    def _mirrored(self, output: Path, suffix: str) -> Path:
        place = output.relative_to(self.results)
        archive = place.name.removesuffix(_ARCHIVE)  # names of plans hold points, too
        stem = place.stem if archive == place.name else archive
        return self.logs / place.with_name(f"{stem}{suffix}")


@dataclass(frozen=True)
class DownloadPaths:
    """Where downloads lie, which studies share.

    Attributes:
        directory: the folder of the config.
    """

    directory: Path

    def file(self, collection: str, file: str) -> Path:
        """A downloaded file."""
        return self.directory / collection / file

    def record(self, collection: str = "{collection}", file: str = "{file}") -> Path:
        """The record of a download: that its file is there and was verified."""
        return self.directory / collection / f"{file}.json"

    @staticmethod
    def log() -> Path:
        """The log of a download."""
        return Path("logs", _DOWNLOADS, "{collection}", "{file}.log")

    @staticmethod
    def benchmark() -> Path:
        """What a download took."""
        return Path("logs", _DOWNLOADS, "{collection}", f"{{file}}{_BENCHMARK}")


def match(pattern: Path, path: Path) -> dict[str, str] | None:
    """Return what stands for the wildcards of a pattern in a path; None if it does not fit.

    >>> match(Path("{model}/scores.h5"), Path("mace/scores.h5"))
    {'model': 'mace'}
    """
    parts = re.split(r"{(\w+)}", pattern.as_posix())
    regex = "".join(f"(?P<{p}>[^/]+)" if i % 2 else re.escape(p) for i, p in enumerate(parts))
    found = re.fullmatch(regex, path.as_posix())
    return None if found is None else found.groupdict()
