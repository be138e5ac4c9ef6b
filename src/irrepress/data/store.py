"""Random access to stores by several processes; `layout` describes the file."""

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from irrepress.core.errors import UserError
from irrepress.core.label_counts import LabelCounts
from irrepress.core.quantities import QUANTITIES
from irrepress.core.structure import Structure
from irrepress.data.layout import (
    ATOMS_PER_CHUNK,
    FORMAT,
    PER_ATOM,
    PER_STRUCTURE,
    SCHEMA_VERSION,
    StoreInfo,
    blocks,
)
from irrepress.data.notes import Note
from irrepress.data.splits import PARTS, check_splits

MOST_NUMBER = 118  # the heaviest element
# Structures with fewer atoms than this between them are read together.
_LARGEST_GAP = 2 * ATOMS_PER_CHUNK


class StructureStore:
    """A store, opened for random access.

    It can be pickled and used on both sides of a fork: every process opens the file itself when it
    first reads. Only ``ptr`` and the splits are held in memory.

    Attributes:
        path: path of the file.
        info: origin of the data.
        splits: split -> sorted int64 indices of its structures; may be empty.
        elements: sorted atomic numbers that occur.
        num_atoms: number of atoms of every structure, ``[structures]`` int64.
        labelled: label (energy, forces, stress) -> number of structures with it.

    Example:
        >>> import tempfile
        >>> from ase.build import bulk
        >>> from irrepress.data.writing import write_store
        >>> path = Path(tempfile.mkdtemp()) / "silicon.h5"
        >>> info = StoreInfo("ASE", "MIT", "", level_of_theory="PBE", labels="PBE", checksum="")
        >>> crystals = [Structure.unlabelled(bulk("Si")), Structure.unlabelled(bulk("Ge"))]
        >>> write_store(path, crystals, info, {"train": [0], "test": [1]}, seed=0)
        >>> store = StructureStore(path)
        >>> len(store), store.elements, store[1].numbers.tolist()
        (2, [14, 32], [32, 32])
    """

    path: Path
    info: StoreInfo
    splits: dict[str, np.ndarray]
    elements: list[int]
    num_atoms: np.ndarray
    labelled: dict[str, int]

    def __init__(self, path: str | Path):
        """Open a store and check it.

        Raises:
            UserError: if the file is missing, damaged or not a store of this version.
        """
        self.path = Path(path)
        self._file: h5py.File | None = None
        self._columns: dict[str, h5py.Dataset] = {}
        self._process = -1
        try:
            self._load()
        except OSError as error:
            raise self._damaged(error) from error
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(error, "its content is incomplete or inconsistent") from error

    def __len__(self) -> int:
        return len(self.num_atoms)

    def __getitem__(self, index: int) -> Structure:
        return self.read([index])[0]

    # torch's DataLoader calls this with all indices of a batch.
    def __getitems__(self, indices: Sequence[int]) -> list[Structure]:
        return self.read(indices)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_columns": {}, "_process": -1}

    def read(self, indices: Sequence[int] | np.ndarray, *, groups: bool = True) -> list[Structure]:
        """Read structures in the order of ``indices``; adjacent ones are read together.

        Args:
            indices: indices of structures; negative ones count from the end.
            groups: whether to read groups, which training does not need.

        Raises:
            IndexError: if an index is out of range.
            UserError: if the file is damaged.
        """
        wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
        if len(wanted) and not -len(self) <= wanted.min() <= wanted.max() < len(self):
            raise IndexError(f"{self.path}: {len(self)} structures, asked for {indices}")
        wanted = np.where(wanted < 0, wanted + len(self), wanted)
        found: dict[int, Structure] = {}
        # Sorting a single index in numpy takes as long as reading a structure.
        runs = self._runs(np.unique(wanted)) if len(wanted) > 1 else [wanted]
        try:
            for run in runs:
                found.update(self._read_run(run, groups))
        except OSError as error:
            raise self._damaged(error) from error
        return [found[index] for index in wanted.tolist()]

    def iterate(self, indices: Sequence[int] | np.ndarray | None = None) -> Iterator[Structure]:
        """Yield structures (all if no indices are given) in bounded memory."""
        wanted = np.arange(len(self)) if indices is None else np.asarray(indices)
        for block in blocks(self.num_atoms[wanted]):
            yield from self.read(wanted[block])

    def count_labels(self, indices: Sequence[int] | np.ndarray | None = None) -> LabelCounts:
        """Return the numbers of structures with each label.

        Args:
            indices: indices of the structures to count; None: all.

        Raises:
            UserError: if the file is damaged.
        """
        wanted = np.arange(len(self)) if indices is None else np.asarray(indices, dtype=np.int64)
        try:
            has = {label: self._has(label) for label in QUANTITIES}
            has["stress_without_volume"] = np.zeros(len(self), dtype=bool)
            if self.labelled["stress"]:
                has_volume = self._column("pbc")[:].astype(bool).all(axis=1)
                has["stress_without_volume"] = has["stress"] & ~has_volume
                has["stress"] = has["stress"] & has_volume
        except OSError as error:
            raise self._damaged(error) from error
        counts = {name: int(found[wanted].sum()) for name, found in has.items()}
        return LabelCounts(len(wanted), **counts)

    def _has(self, label: str) -> np.ndarray:
        """Return which structures have a label, ``[structures]`` booleans."""
        if self.labelled[label] in (0, len(self)):
            return np.full(len(self), self.labelled[label] > 0)
        column = self._column(label)
        if label in PER_STRUCTURE:
            return np.isfinite(column[:]).reshape(len(self), -1).all(axis=1)
        found = np.empty(len(self), dtype=bool)
        for block in blocks(self.num_atoms):
            start, stop = int(self._ptr[block.start]), int(self._ptr[block.stop])
            finite = np.isfinite(column[start:stop]).all(axis=1)
            found[block] = np.logical_and.reduceat(finite, self._ptr[block] - start)
        return found

    def require(self, part: str, labels: Iterable[str] = ()) -> np.ndarray:
        """Return the indices of a split, checking that it is not empty and has labels.

        Args:
            part: ``train``, ``valid`` or ``test``.
            labels: labels that every structure in the store must have.

        Raises:
            UserError: if the split is empty or labels are missing.
        """
        if part not in self.splits or not len(self.splits[part]):
            raise UserError(
                f"{self.path}: the {part} split is empty; give it a fraction above 0 under split, "
                "then make the store again"
            )
        for label in labels:
            if self.labelled[label] < len(self):
                raise UserError(
                    f"{self.path}: {len(self) - self.labelled[label]} of {len(self)} structures "
                    f"have no {label}; give its key under keys, or label them with a model"
                )
        return self.splits[part]

    def close(self) -> None:
        """Close this process's file handle; the next read opens it again."""
        if self._file is not None and self._process == os.getpid():
            self._file.close()
        self._file = None
        self._columns = {}

    def _open(self) -> h5py.File:
        if self._file is None or self._process != os.getpid():
            self._file = h5py.File(self.path, "r")
            self._columns = {}
            self._process = os.getpid()
        return self._file

    def _column(self, name: str) -> h5py.Dataset:
        """Return a dataset from a cache: looking it up takes as long as reading a row."""
        file = self._open()
        if name not in self._columns:
            self._columns[name] = file[name]
        return self._columns[name]

    def _load(self) -> None:
        file = self._open()
        if file.attrs.get("format") != FORMAT:
            raise UserError(
                f"{self.path}: an HDF5 file, but not a store of structures; give a file that "
                "irrepress wrote, or read yours as a dataset with source: files"
            )
        if (version := int(file.attrs["schema_version"])) != SCHEMA_VERSION:
            raise UserError(
                f"{self.path}: a store of schema version {version}, this irrepress reads "
                f"{SCHEMA_VERSION}; delete the file, so that it is made again"
            )
        self.info = _read_info(file)
        self.splits = {part: file[f"splits/{part}"][:] for part in PARTS}
        self.elements = [int(number) for number in file.attrs["elements"]]
        self.labelled = json.loads(file.attrs["labelled"])
        self._ptr = file["ptr"][:]
        self.num_atoms = np.diff(self._ptr)
        if not len(self._ptr) or self._ptr[0] != 0 or (self.num_atoms < 1).any():
            raise ValueError("ptr does not ascend from 0")
        self.splits = check_splits(self.splits, len(self))
        if not all(1 <= number <= MOST_NUMBER for number in self.elements):
            raise ValueError(f"elements are {self.elements}")
        for name in PER_ATOM:
            if file[name].shape[0] != self._ptr[-1]:
                raise ValueError(f"{name} has not one row for every atom")
        for name in (*PER_STRUCTURE, "group"):
            if file[name].shape[0] != len(self):
                raise ValueError(f"{name} has not one row for every structure")

    def _runs(self, indices: np.ndarray) -> list[np.ndarray]:
        """Split sorted indices at long gaps."""
        gaps = self._ptr[indices[1:]] - self._ptr[indices[:-1] + 1]
        return np.split(indices, np.flatnonzero(gaps > _LARGEST_GAP) + 1)

    def _read_run(self, run: np.ndarray, with_groups: bool) -> Iterator[tuple[int, Structure]]:
        if not len(run):
            return
        first, last = int(run[0]), int(run[-1]) + 1
        start, stop = int(self._ptr[first]), int(self._ptr[last])
        atoms = {name: self._column(name)[start:stop] for name in PER_ATOM}
        whole = {name: self._column(name)[first:last] for name in PER_STRUCTURE}
        self._check_atoms(atoms, whole["cell"], first, last)
        groups = self._groups(first, last) if with_groups else None
        for index in run.tolist():
            own = slice(self._ptr[index] - start, self._ptr[index + 1] - start)
            row = index - first
            # Copies, so that a structure does not keep an entire run in memory.
            yield (
                index,
                Structure(
                    numbers=atoms["numbers"][own].astype(np.int64),
                    positions=atoms["positions"][own].copy(),
                    cell=whole["cell"][row].copy(),
                    pbc=whole["pbc"][row].astype(bool),
                    energy=float(whole["energy"][row]),
                    forces=atoms["forces"][own].copy(),
                    stress=whole["stress"][row].copy(),
                    group=groups[row] if groups is not None else "",
                ),
            )

    def _check_atoms(
        self, atoms: dict[str, np.ndarray], cells: np.ndarray, first: int, last: int
    ) -> None:
        """Raise UserError for values that no conversion writes."""
        numbers, positions = atoms["numbers"], atoms["positions"]
        # Sums of squares are not finite if a term is not, and 0 minus 1 is 255: this takes a third
        # of the time of testing every term, which matters for single structures.
        if (
            math.isfinite(np.dot(positions.ravel(), positions.ravel()))
            and math.isfinite(np.dot(cells.ravel(), cells.ravel()))
            and np.maximum.reduce(numbers - np.uint8(1)) < MOST_NUMBER
        ):
            return
        start = int(self._ptr[first])
        for index in range(first, last):
            own = slice(self._ptr[index] - start, self._ptr[index + 1] - start)
            for what, wrong in (
                ("an atomic number", (numbers[own] < 1) | (numbers[own] > MOST_NUMBER)),
                ("a position", ~np.isfinite(positions[own])),
                ("a cell", ~np.isfinite(cells[index - first])),
            ):
                if wrong.any():
                    error = ValueError(f"structure {index} has {what} that is invalid")
                    raise self._damaged(error, "its content has changed")

    def _groups(self, first: int, last: int) -> np.ndarray:
        """Return the groups of a range of structures, ``[structures]`` strings."""
        rows = self._column("group")[first:last]  # they never decrease
        names = self._column("groups").asstr()[rows[0] : rows[-1] + 1]
        return names[rows - rows[0]]

    def _damaged(self, error: Exception, what: str = "") -> UserError:
        if isinstance(error, FileNotFoundError):
            return UserError(f"{self.path}: there is no such store; make it first")
        if isinstance(error, PermissionError):
            return UserError(f"{self.path}: cannot be read ({error.strerror})")
        if self.path.suffix != ".h5" and (self.path.is_dir() or not h5py.is_hdf5(self.path)):
            # The message must not tell users to delete their own data.
            return UserError(
                f"{self.path}: not a store of structures, which a study writes as .h5; the command "
                "irrepress evaluate reads other files"
            )
        what = what or "not an HDF5 file, or cut off"
        return UserError(f"{self.path}: damaged ({what}: {error}); delete it to make it again")


def _read_info(file: h5py.File) -> StoreInfo:
    names = ("source", "licence", "citation", "level_of_theory", "labels", "checksum")
    table = file["reference_energies"]
    energies = zip(table["numbers"][:].tolist(), table["energy"][:].tolist(), strict=True)
    notes = json.loads(file.attrs.get("notes", "[]"))  # missing in stores of earlier versions
    return StoreInfo(
        **{name: file.attrs[name] for name in names},
        reference_energies=dict(energies),
        notes=tuple(Note(**note) for note in notes),
    )
