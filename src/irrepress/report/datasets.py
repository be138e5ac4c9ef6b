"""What the report says about each dataset: size, splits, origin, and whose labels it holds."""

from dataclasses import dataclass
from pathlib import Path

from ase.data import chemical_symbols

from irrepress.config import Config, Dataset, Generated
from irrepress.errors import UserError
from irrepress.structures.store import StructureStore


@dataclass(frozen=True)
class DataCard:
    """A dataset in a few lines.

    Attributes:
        structures: number of structures in all.
        atoms: number of atoms in all.
        splits: number of structures by split.
        elements: chemical symbols that occur.
        labels: whose labels they are, such as ``PBE`` or ``SevenNet-l3i5 (7net-l3i5)``.
        labelled_by_model: whether a model computed the labels; then they are not DFT.
        level_of_theory: as recorded by the store.
        source: where the structures come from.
        licence: as recorded by the store.
        citation: what to cite; may be empty.
        checksum: of the content.
    """

    structures: int
    atoms: int
    splits: dict[str, int]
    elements: list[str]
    labels: str
    labelled_by_model: bool
    level_of_theory: str
    source: str
    licence: str
    citation: str
    checksum: str


def used_datasets(config: Config) -> list[str]:
    """Return the datasets that the study reads, in the order of the config."""
    used = {config.scoring.dataset, config.evaluation.dataset}
    used |= {part.dataset for part in (config.recovery, config.distillation) if part}
    if config.downstream:
        used |= set(config.downstream.datasets)
    return [name for name in config.datasets if name in used]


def read_data_card(path: Path, dataset: Dataset) -> DataCard:
    """Read the data card of a store.

    Args:
        path: the dataset's HDF5 file.
        dataset: its section of the config, which says whether a model made the labels.

    Raises:
        UserError: the file is missing or is no store.
    """
    if not path.is_file():
        raise UserError(f"{path}: cannot be read (No such file or directory)")
    store = StructureStore(path)
    info = store.info
    return DataCard(
        structures=len(store),
        atoms=int(store.num_atoms.sum()),
        splits={name: len(indices) for name, indices in store.splits.items()},
        elements=[chemical_symbols[number] for number in store.elements],
        labels=info.labels,
        labelled_by_model=isinstance(dataset, Generated),
        level_of_theory=info.level_of_theory,
        source=info.source,
        licence=info.licence,
        citation=info.citation,
        checksum=info.checksum,
    )
