"""Conversion of datasets to stores."""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from ase import Atoms

from irrepress.catalogue.datasets.registry import get_published
from irrepress.catalogue.entry import PublishedDataset
from irrepress.core.files import sha256
from irrepress.data.config import Counts, Files, Published, Split
from irrepress.data.formats.atoms import AtomsReader
from irrepress.data.layout import UNLABELLED, StoreInfo
from irrepress.data.notes import log_notes
from irrepress.data.paths import DATA_KEYS, contents, locate
from irrepress.data.reading import Reading, Source, read_files, read_published
from irrepress.data.splits import TooFewToSplit
from irrepress.data.writing import write_store

logger = logging.getLogger(__name__)


def store_files(
    path: str | Path, config: Files, workers: int = 1, *, unlabelled: bool = False
) -> None:
    """Read the user's files into a store.

    If ``labels`` of the config is false, structures that are too few to divide by the default split
    are all in the train split.

    Args:
        path: the store.
        config: the dataset.
        workers: number of parsing processes.
        unlabelled: whether frames without any label are taken as well.

    Raises:
        UserError: if reading or writing fails; see `reading.read_files`, `reading.Reading` and
            `writing.write_store`.
    """
    try:
        _store_files(path, config, workers, unlabelled=unlabelled)
    except TooFewToSplit as error:
        # A crystal or two to make other structures from need no splits.
        if config.labels is not False or config.split != Split():
            raise
        logger.warning("%s: %s; all are in the train split instead", path, str(error).split(";")[0])
        undivided = config.model_copy(update={"split": Split(train=1, valid=0, test=0)})
        _store_files(path, undivided, workers, unlabelled=unlabelled)


def _store_files(path: str | Path, config: Files, workers: int, *, unlabelled: bool) -> None:
    located = locate(config)
    paths = [path for key in DATA_KEYS for path in located.paths[key]]
    names = list(map(str, paths))
    reading = read_files(config, workers, located, unlabelled=unlabelled)
    info = StoreInfo(
        source=", ".join(names) if len(names) <= 20 else f"{names[0]} and {len(names) - 1} more",
        licence=config.licence,
        citation=config.citation,
        level_of_theory=config.level_of_theory,
        labels=config.level_of_theory if config.labels is None else UNLABELLED,
        checksum=joint_checksum([_digest(path) for path in paths]),
        reference_energies=reading.reference_energies,
        notes=reading.notes,
    )
    _write(path, reading, info, config.split, config.seed, config.counts)


def store_published(
    path: str | Path,
    config: Published,
    directory: Path,
    checksums: Iterable[str],
    workers: int = 1,
) -> None:
    """Read the downloaded files of a published dataset into a store.

    Args:
        path: the store.
        config: name and split of the dataset.
        directory: download directory, which holds ``COLLECTION/FILE``.
        checksums: SHA-256 of its files, in the order of the registry.
        workers: number of parsing processes.

    Raises:
        UserError: if reading or writing fails; see `reading.read_published`, `reading.Reading` and
            `writing.write_store`.
    """
    entry = get_published(config.name)
    reading = read_published(config, directory, workers)
    info = StoreInfo(
        source=", ".join(file.urls[0] if file.urls else file.name for file in entry.files),
        licence=entry.licence.name,
        citation=entry.citation,
        level_of_theory=entry.level_of_theory,
        labels=entry.level_of_theory if config.labels is None else UNLABELLED,
        checksum=joint_checksum(list(checksums)),
        reference_energies=reading.reference_energies,
        notes=reading.notes,
    )
    split = config.split or _default_split(entry)
    counts = config.counts or Counts(**entry.counts)
    _write(path, reading, info, split, config.seed, counts)


def _default_split(entry: PublishedDataset) -> Split:
    if entry.labels:
        return Split(by=entry.split_by)
    return Split(train=0, valid=0, test=1, by=entry.split_by)  # unlabelled: nothing to train on


def store_atoms(
    path: str | Path,
    frames: Sequence[Atoms],
    config: Files,
    *,
    checksum: str,
    unlabelled: bool = False,
) -> None:
    """Write ASE's atoms into a store, as if they had been read from a file.

    Args:
        path: the store.
        frames: the structures, with labels where ASE or files of the user keep them.
        config: keys, units and split, as for files; its paths are not read.
        checksum: what identifies the frames.
        unlabelled: whether frames without any label are taken as well.

    Raises:
        UserError: if reading or writing fails; see `reading.Reading` and `writing.write_store`.
    """
    options = {
        "select": config.select,
        "unlabelled": unlabelled,
        "structures_only": config.labels is not None,
    }
    reader = AtomsReader(frames, config.keys, config.units, options)
    reading = Reading([Source(reader)], bad_frames=config.bad_frames, limit=config.limit)
    info = StoreInfo(
        source="ASE atoms",
        licence=config.licence,
        citation=config.citation,
        level_of_theory=config.level_of_theory,
        labels=config.level_of_theory if config.labels is None else UNLABELLED,
        checksum=checksum,
        reference_energies=reading.reference_energies,
        notes=reading.notes,
    )
    _write(path, reading, info, config.split, config.seed, config.counts)


def joint_checksum(digests: list[str]) -> str:
    """Return the SHA-256 of one file, or of the list of SHA-256 sums of several."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of all files in a directory (deepmd's systems)."""
    return joint_checksum([sha256(file) for file in contents(path)])


def _write(
    path: str | Path,
    reading: Reading,
    info: StoreInfo,
    split: Split,
    seed: int,
    counts: Counts | None,
) -> None:
    # Always closed, so that no process keeps parsing after a failure such as a full disk.
    try:
        with closing(iter(reading)) as structures:
            write_store(path, structures, info, split, seed, reading.official, counts)
    finally:
        log_notes(reading.notes, logger)
