"""Frames: the structures that a user has, whatever they come as."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from irrepress.api.showing import Shown, Table, count
from irrepress.core.errors import UserError
from irrepress.core.files import sha256
from irrepress.core.label_counts import LabelCounts
from irrepress.core.section import make_section
from irrepress.core.structure import Structure
from irrepress.data.config import Files, Split
from irrepress.data.convert import store_atoms, store_files
from irrepress.data.layout import StoreInfo
from irrepress.data.reading import is_store
from irrepress.data.splits import PARTS, TooFewToSplit
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store

AnyPath: TypeAlias = str | Path
# What methods take: frames, or what `read` makes frames of.
FramesLike: TypeAlias = (
    "Frames | StructureStore | AnyPath | Atoms | Structure"
    " | Sequence[AnyPath] | Sequence[Atoms] | Sequence[Structure]"
)
# All structures in one part.
_UNDIVIDED = {part: Split(**{name: float(name == part) for name in PARTS}) for part in PARTS}
_NAME = "frames"


@dataclass(frozen=True, repr=False)
class Frames(Shown):
    """Structures with the labels that they have, divided into train, valid and test parts.

    They lie in an HDF5 store, in a temporary folder if they did not come as one. The same
    structures are divided in the same way every time: what was planned and trained on the train
    part can be judged on the test part.

    Attributes:
        store: the structures.
        name: what they are called.

    Example:
        >>> from ase.build import bulk
        >>> frames = read([bulk("Si"), bulk("Ge"), bulk("C")])
        >>> len(frames), frames.store.elements
        (3, [6, 14, 32])
        >>> print(frames)
        frames: 3 structures of C, Ge, Si
          labels  none
          parts   1 train, 1 valid, 1 test
    """

    store: StructureStore
    name: str
    _folder: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.store)

    @property
    def identity(self) -> str:
        """SHA-256 of what they were read from, by which models know what they have seen."""
        return self.store.info.checksum or sha256(self.store.path)

    @property
    def labels(self) -> LabelCounts:
        """How many structures have which label."""
        return self.store.count_labels()

    def as_part(self, part: str) -> Frames:
        """Return the same structures, all of them in one part."""
        folder = tempfile.TemporaryDirectory(prefix="irrepress-")
        path = Path(folder.name) / self.store.path.name
        splits = {part: np.arange(len(self))}
        write_store(path, self.store.iterate(), self.store.info, splits, 0, total=len(self))
        return Frames(StructureStore(path), self.name, folder)

    def _table(self) -> Table:
        return Table(self._title(), self._rows())

    def _title(self) -> str:
        symbols = sorted(chemical_symbols[z] for z in self.store.elements)
        return f"{self.name}: {count(len(self), 'structure')} of {', '.join(symbols)}"

    def _rows(self) -> list[tuple[str, str]]:
        labels = self.labels
        known = {"energies": labels.energy, "forces": labels.forces, "stress": labels.stress}
        told = [f"{name} of {number:,}" for name, number in known.items() if number]
        parts = [f"{len(self.store.splits[part]):,} {part}" for part in PARTS]
        rows = [("labels", ", ".join(told) or "none"), ("parts", ", ".join(parts))]
        return rows + [("note", str(note)) for note in self.store.info.notes]


def read(
    source: FramesLike,
    *,
    valid: AnyPath | Sequence[AnyPath] = (),
    test: AnyPath | Sequence[AnyPath] = (),
    seed: int = 0,
    **settings: Any,
) -> Frames:
    """Read structures, with labels or without.

    Args:
        source: paths of files, folders or patterns, an HDF5 store, atoms of ASE, structures, or
            several of them.
        valid: files that are the valid part as a whole; only beside paths.
        test: files that are the test part as a whole; only beside paths.
        seed: seed for the division into parts.
        **settings: what a config may say of such a dataset: ``keys`` and ``units`` of the labels,
            ``format``, ``select``, ``split``, ``counts``, ``level_of_theory``, ...

    Raises:
        UserError: there is no such file, it holds no structures or bad ones, or a setting that
            there is not.
    """
    given = {**settings, "valid_paths": _listed(valid), "test_paths": _listed(test)}
    given = {key: value for key, value in given.items() if value not in (None, [])}
    if given.get("labels"):
        raise UserError(
            "read: labels is False (structures only) or left out; to have a model label structures "
            "see distill, or irrepress.evaluation.predictions.label"
        )
    if isinstance(source, Frames | StructureStore):
        if given:
            raise UserError(f"read: these structures were read before; leave {min(given)} out")
        return source if isinstance(source, Frames) else Frames(source, source.path.stem)
    items = _items(source)
    if isinstance(items[0], str | Path):
        return _of_paths([str(item) for item in items], given, seed)
    if given.keys() & {"valid_paths", "test_paths"}:
        raise UserError("read: valid and test are files beside files; leave them out")
    config = _config(["atoms"], given, seed)
    if isinstance(items[0], Structure):
        return _of_structures(items, config)
    return _divided(
        lambda path, files: store_atoms(
            path, items, files, checksum=_checksum(items), unlabelled=True
        ),
        config,
        _NAME,
    )


def _items(source: Any) -> list[Any]:
    if isinstance(source, str | Path | Atoms | Structure):
        return [source]
    if not isinstance(source, Iterable):
        raise UserError(
            f"read: {type(source).__name__} is none of paths, atoms of ASE, structures or frames"
        )
    items = list(source)
    if not items:
        raise UserError("read: the list of structures is empty; give at least one")
    for kind in ((str, Path), Atoms, Structure):
        if all(isinstance(item, kind) for item in items):
            return items
    names = ", ".join(dict.fromkeys(type(item).__name__ for item in items))
    raise UserError(
        f"read: the list holds what is no structure, or of several kinds ({names}); give paths, "
        "atoms of ASE or structures"
    )


def _listed(paths: AnyPath | Sequence[AnyPath]) -> list[str]:
    return [str(paths)] if isinstance(paths, str | Path) else list(map(str, paths))


def _config(paths: list[str], settings: dict[str, Any], seed: int) -> Files:
    given = {"source": "files", "paths": paths, "seed": seed}
    return make_section(Files, "read", {**given, **settings})


def _of_paths(paths: list[str], settings: dict[str, Any], seed: int) -> Frames:
    if len(paths) == 1 and is_store(paths[0]):
        if settings:
            raise UserError(f"{paths[0]}: a store is read as it is; leave {min(settings)} out")
        store = StructureStore(paths[0])
        return Frames(store, store.path.stem)
    name = Path(paths[0]).name if len(paths) == 1 else _NAME
    return _divided(
        lambda path, files: store_files(path, files, unlabelled=True),
        _config(paths, settings, seed),
        name,
    )


def _of_structures(structures: list[Structure], config: Files) -> Frames:
    info = StoreInfo(
        source="structures",
        licence=config.licence,
        citation=config.citation,
        level_of_theory=config.level_of_theory,
        labels=config.level_of_theory,
        checksum=_checksum(structures),
    )
    return _divided(
        lambda path, files: write_store(
            path, structures, info, files.split, files.seed, counts=files.counts
        ),
        config,
        _NAME,
    )


def _checksum(structures: Iterable[Atoms | Structure]) -> str:
    """Return a SHA-256 that tells structures from others, whatever their labels."""
    digest = hashlib.sha256()
    for each in structures:
        for array in (each.numbers, each.positions, each.cell, each.pbc):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _divided(write: Any, config: Files, name: str) -> Frames:
    """Return frames in a temporary store; all of them are train where they are too few to divide.

    Args:
        write: writes a store: of its path and of a config, whose split is used.
        config: keys, units and split.
        name: what the frames are called.
    """
    folder = tempfile.TemporaryDirectory(prefix="irrepress-")
    path = Path(folder.name) / f"{_NAME}.h5"
    try:
        write(path, config)
    except TooFewToSplit:
        if "split" in config.model_fields_set:
            raise
        write(path, config.model_copy(update={"split": _UNDIVIDED["train"]}))
    return Frames(StructureStore(path), name, folder)
