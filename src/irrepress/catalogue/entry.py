"""Entries of the catalogue of published datasets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class RemoteFile:
    """A file of a published dataset or checkpoint.

    Example:
        >>> file = RemoteFile("data.zip", ("https://example.org/data.zip",), checksum=None)
        >>> file.name, file.size
        ('data.zip', None)
    """

    name: str
    """File name on disk; unique within a collection."""
    urls: tuple[str, ...]
    """Direct addresses of the file: the official source first, then mirrors."""
    checksum: str | None
    """``md5:HEX`` or ``sha256:HEX``; None: not published, so the first download's is recorded."""
    size: int | None = None
    """Length in bytes, if known exactly."""
    page: str | None = None
    """Web page of the file, for manual downloads."""


@dataclass(frozen=True)
class Licence:
    """The licence of a dataset or a checkpoint.

    Example:
        >>> Licence("MIT", "https://opensource.org/license/mit").restricted
        False
    """

    name: str
    url: str
    restricted: bool = False
    """Whether the licence restricts use, so that users must accept it by name."""
    terms: str = ""
    """One or two sentences to show to the user."""


@dataclass(frozen=True)
class PublishedDataset:
    """A published dataset: its source, content and format.

    Example:
        >>> from irrepress.catalogue.datasets.registry import get_published
        >>> dataset = get_published("rmd17-aspirin")
        >>> dataset.labels, dataset.licence.name
        (('energy', 'forces'), 'CC0-1.0')
    """

    name: str
    """The name in a config, such as ``rmd17-aspirin``."""
    collection: str
    """Directory of its files, which related datasets share, such as ``rmd17``."""
    description: str
    files: tuple[RemoteFile, ...]
    format: str
    """Name of the reader."""
    labels: tuple[str, ...]
    """Which of energy, forces and stress it contains."""
    licence: Licence
    citation: str
    """DOIs, starting with that of the dataset's paper."""
    level_of_theory: str
    structures: int | None
    """Number of structures, as published."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the reader."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys of the labels (`config.LabelKeys`); empty: ASE's results."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Units of the source (`config.Units`); empty: eV, Å, eV/Å^3 with ASE's sign."""
    tables: tuple[RemoteFile, ...] = ()
    """Further files without structures."""
    split_by: str = "group"
    """What keeps structures in one split, if there are no official ones, as `config.Split.by`."""
    isolated_atoms: str | None = None
    """Name of the file in `files` with isolated atoms for reference energies."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Default maximum sizes of the splits (`config.Counts`); empty: no limit."""
