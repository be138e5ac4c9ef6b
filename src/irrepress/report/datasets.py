"""The datasets of the report: summary, use, and whether a model labelled them."""

from dataclasses import dataclass

from irrepress.data.config import Generated, Perturbed
from irrepress.data.summary.records import DatasetSummary
from irrepress.study.config import Config
from irrepress.study.paths import StudyPaths


@dataclass(frozen=True)
class DataCard:
    """A dataset of the study.

    Attributes:
        summary: what it holds and where it comes from.
        labelled_by_model: whether a model computed the labels; then they are not DFT.
        uses: the purposes that the study uses it for, such as ``scoring``.
    """

    summary: DatasetSummary
    labelled_by_model: bool
    uses: list[str]


def used_datasets(config: Config) -> dict[str, list[str]]:
    """Return the purposes of each dataset, without datasets that the study does not read.

    The dataset that a perturbed one is made of is used, too.
    """
    sections = {
        "scoring": config.scoring,
        "compensation": config.compensation,
        "recovery": config.recovery,
        "distillation": config.distillation,
        "evaluation": config.evaluation,
    }
    uses: dict[str, list[str]] = {name: [] for name in config.datasets}
    for use, section in sections.items():
        if section is not None and section.dataset is not None:
            uses[section.dataset].append(use)
    for model, reference in config.models.items():
        if reference.training is not None and reference.training.dataset is not None:
            uses[reference.training.dataset].append(f"training of {model}")
    if config.downstream:
        for name in config.downstream.datasets:
            uses[name].append("downstream")
    for name, dataset in config.datasets.items():
        if isinstance(dataset, Perturbed) and uses[name]:
            uses[dataset.of].append(f"source of {name}")
    return {name: what for name, what in uses.items() if what}


def read_data_cards(paths: StudyPaths, config: Config) -> dict[str, DataCard]:
    """Read the summaries of the datasets that the study uses.

    Args:
        paths: where the files of the study lie.
        config: the study's configuration.

    Raises:
        UserError: a summary is missing or malformed.
    """
    return {
        name: DataCard(
            summary=DatasetSummary.load(paths.summary(name)),
            labelled_by_model=isinstance(config.datasets[name], Generated | Perturbed),
            uses=uses,
        )
        for name, uses in used_datasets(config).items()
    }
