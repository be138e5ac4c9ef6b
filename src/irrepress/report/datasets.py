"""The datasets of the report: summary, use, and whether a model labelled them."""

from dataclasses import dataclass

from irrepress.data.summary.records import DatasetSummary
from irrepress.study.config import Config
from irrepress.study.labels import labelling_model
from irrepress.study.paths import StudyPaths
from irrepress.study.uses import used_datasets


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
            labelled_by_model=labelling_model(config.datasets, name) is not None,
            uses=uses,
        )
        for name, uses in used_datasets(config).items()
    }
