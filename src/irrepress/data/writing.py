"""Writing of stores in bounded memory; `layout` describes the file."""

import json
import logging
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase.data import chemical_symbols

from irrepress.core.errors import UserError
from irrepress.core.files import atomic_path
from irrepress.core.progress import tracked
from irrepress.core.quantities import QUANTITIES
from irrepress.core.structure import Structure
from irrepress.data.config import Counts, Split
from irrepress.data.energy_fit import EnergyFit
from irrepress.data.hdf5_file import open_for_writing
from irrepress.data.layout import (
    ATOMS_PER_BUFFER,
    ATOMS_PER_CHUNK,
    FORMAT,
    PER_ATOM,
    PER_STRUCTURE,
    SCHEMA_VERSION,
    STRUCTURES_PER_CHUNK,
    StoreInfo,
    blocks,
)
from irrepress.data.splits import PARTS, OfficialParts, check_splits, sibling_key, split_indices

logger = logging.getLogger(__name__)

_COMPRESSION: dict[str, Any] = {
    "compression": "gzip",
    "compression_opts": 1,
    "shuffle": True,
    "fletcher32": True,
}


def write_store(
    path: str | Path,
    structures: Iterable[Structure],
    info: StoreInfo,
    split: Split | Mapping[str, Sequence[int] | np.ndarray],
    seed: int,
    official: OfficialParts | None = None,
    counts: Counts | None = None,
    total: int | None = None,
) -> None:
    """Write structures to a new store in bounded memory.

    The file is written atomically. The same structures, split and seed give the same bytes.

    Args:
        path: path of the store; an existing one is replaced.
        structures: the structures, iterated once; missing labels are NaN.
        info: origin of the data. Its reference energies and notes are written last, so they may be
            filled while structures are read.
        split: fractions, or the indices of each split, such as those of another store with the same
            structures.
        seed: seed for the split.
        official: splits defined by the source, which may be filled while structures are read.
        counts: maximum sizes of the splits.
        total: number of structures, if known, for the progress bar.

    Raises:
        UserError: if there are no structures, the split is impossible, or the disk is full.
    """
    path = Path(path)
    by = split.by if isinstance(split, Split) else "structure"
    keys = array("Q")
    with atomic_path(path) as temporary, open_for_writing(temporary) as file:
        writer = _Writer(file)
        for structure in tracked(structures, f"writing {path.name}", "structures", total):
            keys.append(sibling_key(structure, len(keys), by, seed))
            writer.add(structure)
        writer.flush()
        if not keys:
            raise UserError(f"{path}: there are no structures to store; check the source")
        if isinstance(split, Split):
            sibling_keys = np.array(keys, dtype=np.uint64)
            splits = split_indices(sibling_keys, split, official, counts, seed)
        else:
            splits = check_splits(split, len(keys))
        for part in PARTS:
            file.create_dataset(f"splits/{part}", data=splits[part])
        elements = sorted(writer.elements)
        if not set(elements) <= set(info.reference_energies):
            _warn_of_unknown_atoms(path, info, elements)
            energies = _fit_references(file, elements, splits["train"])
            info = replace(info, reference_energies=energies)
        _write_attributes(file, info, split, seed, elements, writer.labelled)


class _Writer:
    """Appends structures to an open file in buffers.

    Attributes:
        elements: atomic numbers seen so far.
        labelled: label -> number of structures with it.
    """

    def __init__(self, file: h5py.File):
        self.file = file
        self.elements: set[int] = set()
        self.labelled = dict.fromkeys(QUANTITIES, 0)
        self._buffer: list[Structure] = []
        self._buffered = 0
        self._atoms = 0
        self._last_group: str | None = None
        for columns, rows in (
            (PER_ATOM, ATOMS_PER_CHUNK),
            (PER_STRUCTURE, STRUCTURES_PER_CHUNK),
        ):
            for name, (shape, dtype, unit) in columns.items():
                self._create(name, shape, np.dtype(dtype), rows).attrs["unit"] = unit
        self._create("group", (), np.dtype("u4"), STRUCTURES_PER_CHUNK)
        self._create("groups", (), h5py.string_dtype(), STRUCTURES_PER_CHUNK)
        self._create("ptr", (), np.dtype("i8"), STRUCTURES_PER_CHUNK)
        self._append("ptr", np.zeros(1, dtype=np.int64))

    def add(self, structure: Structure) -> None:
        """Add a structure.

        Raises:
            ValueError: if its arrays have inconsistent shapes.
        """
        count = len(structure)
        shapes = {"positions": (count, 3), "forces": (count, 3), "cell": (3, 3), "stress": (6,)}
        for name, shape in shapes.items():
            if np.shape(getattr(structure, name)) != shape:
                raise ValueError(f"{name} of shape {np.shape(getattr(structure, name))}")
        if not count:
            raise ValueError("a structure without atoms")
        self.elements.update(np.unique(structure.numbers).tolist())
        for label in QUANTITIES:
            self.labelled[label] += bool(np.all(np.isfinite(getattr(structure, label))))
        self._buffer.append(structure)
        self._buffered += count
        if self._buffered >= ATOMS_PER_BUFFER:
            self.flush()

    def flush(self) -> None:
        """Append the buffer to the file."""
        if not self._buffer:
            return
        for name in PER_ATOM:
            self._append(name, np.concatenate([getattr(s, name) for s in self._buffer]))
        for name in PER_STRUCTURE:
            self._append(name, [getattr(s, name) for s in self._buffer])
        self._append_groups([s.group for s in self._buffer])
        ends = self._atoms + np.cumsum([len(s) for s in self._buffer])
        self._append("ptr", ends)
        self._atoms = int(ends[-1])
        self._buffer, self._buffered = [], 0

    def _append_groups(self, groups: list[str]) -> None:
        """Append groups; consecutive structures of one group share a row of ``groups``."""
        previous = [self._last_group, *groups[:-1]]
        is_new = np.array([g != p for g, p in zip(groups, previous, strict=True)])
        rows = self.file["groups"].shape[0] - 1 + np.cumsum(is_new)
        self._append("groups", [g for g, new in zip(groups, is_new, strict=True) if new])
        self._append("group", rows)
        self._last_group = groups[-1]

    def _create(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype, rows: int
    ) -> h5py.Dataset:
        # Strings are stored in HDF5's heap, to which filters do not apply.
        filters = {} if dtype.hasobject else _COMPRESSION
        return self.file.create_dataset(
            name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(rows, *shape), **filters
        )

    def _append(self, name: str, rows: Any) -> None:
        if not len(rows):
            return
        dataset = self.file[name]
        start = dataset.shape[0]
        dataset.resize(start + len(rows), axis=0)
        dataset[start:] = rows


def _fit_references(file: h5py.File, elements: list[int], train: np.ndarray) -> dict[int, float]:
    ptr = file["ptr"][:]
    chosen = np.zeros(len(ptr) - 1, dtype=bool)
    chosen[train] = True
    fit = EnergyFit(elements)
    for block in blocks(np.diff(ptr)):
        first, last = ptr[block.start], ptr[block.stop]
        is_element = file["numbers"][first:last][:, None] == fit.elements
        counts = np.add.reduceat(is_element, ptr[block] - first, axis=0, dtype=np.int64)
        fit.add(counts[chosen[block]], file["energy"][block][chosen[block]])
    return fit.solve()


def _warn_of_unknown_atoms(path: Path, info: StoreInfo, elements: list[int]) -> None:
    if info.reference_energies:
        missing = [chemical_symbols[z] for z in elements if z not in info.reference_energies]
        logger.warning(
            "%s: there is no isolated-atom energy for %s; reference energies of all elements are "
            "fitted to the train split instead",
            path,
            ", ".join(missing),
        )


def _write_attributes(
    file: h5py.File,
    info: StoreInfo,
    split: Split | Mapping[str, Any],
    seed: int,
    elements: list[int],
    labelled: dict[str, int],
) -> None:
    texts = {key: value for key, value in vars(info).items() if isinstance(value, str)}
    by = split.model_dump() if isinstance(split, Split) else "given"
    file.attrs.update(texts)
    file.attrs.update(
        {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "elements": np.array(elements, dtype=np.int64),
            "labelled": json.dumps(labelled),
            "notes": json.dumps([asdict(note) for note in info.notes]),
            "split": json.dumps(by),
            "seed": seed,
        }
    )
    references = sorted(info.reference_energies.items())
    table = file.create_group("reference_energies")
    table.attrs["unit"] = "eV"
    table.create_dataset("numbers", data=np.array([z for z, _ in references], dtype=np.int64))
    table.create_dataset("energy", data=np.array([e for _, e in references], dtype=np.float64))
