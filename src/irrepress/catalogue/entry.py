"""Entries of the catalogue of published datasets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class RemoteFile:
    """A file of a published dataset."""

    name: str
    """File name on disk; one for each file of a collection."""
    urls: tuple[str, ...]
    """Addresses that give the file itself: the official source first, then mirrors."""
    checksum: str | None
    """``md5:HEX`` or ``sha256:HEX``; None: none is published, the first download's is recorded."""
    size: int | None = None
    """Length in bytes, where it is known exactly."""
    page: str | None = None
    """Where a person finds the file, should no address work."""


@dataclass(frozen=True)
class Licence:
    """The licence of a dataset or a checkpoint."""

    name: str
    url: str
    restricted: bool = False
    """Whether the licence excludes some uses, so that a user has to accept it by name."""
    terms: str = ""
    """One or two sentences that are shown to the user."""


@dataclass(frozen=True)
class PublishedDataset:
    """A published dataset: where it comes from, what it holds and how it is read."""

    name: str
    """The name in a configuration, such as ``rmd17-aspirin``."""
    collection: str
    """Directory of its files, shared with its siblings: ``rmd17``."""
    description: str
    files: tuple[RemoteFile, ...]
    format: str
    """Name of the reader."""
    labels: tuple[str, ...]
    """Which of energy, forces and stress it holds."""
    licence: Licence
    citation: str
    """DOIs, the dataset's paper first."""
    level_of_theory: str
    structures: int | None
    """How many, as published."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the reader."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Names of the labels (`config.LabelKeys`); empty: where ASE puts them."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Units of the source (`config.Units`); empty: eV, Å, eV/Å^3, the sign of ASE."""
    tables: tuple[RemoteFile, ...] = ()
    """Further files, which hold no structures."""
    split_by: str = "group"
    """What stays together where no official parts exist: group, composition or structure."""
    isolated_atoms: str | None = None
    """Name of the one of `files` that holds single atoms, the reference energies."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Sizes of the parts that the study uses (`config.Counts`); empty: all that there are."""
