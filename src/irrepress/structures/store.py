"""The HDF5 store: one file a dataset, read at random by several processes.

Layout, version 2. Atoms of all structures lie one after another:

==================================  =====================  =======  =======
dataset                             shape                  type     unit
==================================  =====================  =======  =======
``positions``                       ``[atoms, 3]``         float64  Å
``numbers``                         ``[atoms]``            uint8
``forces``                          ``[atoms, 3]``         float64  eV/Å
``cell`` (rows are vectors)         ``[structures, 3, 3]`` float64  Å
``pbc`` (0 or 1)                    ``[structures, 3]``    uint8
``energy``                          ``[structures]``       float64  eV
``stress`` (Voigt, ASE's sign)      ``[structures, 6]``    float64  eV/Å^3
``group`` (row of ``groups``)       ``[structures]``       uint32
``groups`` (what siblings share)    ``[runs]``             text
``ptr`` (first atom of each)        ``[structures + 1]``   int64
``splits/{train,valid,test}``       ``[members]``          int64
==================================  =====================  =======  =======

Labels that are absent are NaN. Everything is float64, so that a store gives back bit for bit
what went in; forces in float32 would halve a third of the file but make finite-difference
checks against stored labels meaningless. Chunks are shuffled, compressed by gzip level 1 and
carry a checksum, so that damage to the file is found when it is read. They are small, a few
structures each, because a structure that is read at random costs the decompression of whole
chunks: larger ones save 2 % of the file and halve the speed. Siblings that follow each other
share a row of ``groups``, since HDF5 compresses no texts of varying length.
"""

import json
import logging
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase.data import chemical_symbols

from irrepress.config import Counts, Split
from irrepress.errors import UserError
from irrepress.files import atomic_path
from irrepress.structures.hdf5_file import open_for_writing
from irrepress.structures.progress import tracked
from irrepress.structures.references import EnergyFit
from irrepress.structures.splits import (
    PARTS,
    OfficialParts,
    check_splits,
    sibling_key,
    split_indices,
)
from irrepress.structures.structure import Structure

logger = logging.getLogger(__name__)

FORMAT = "irrepress-structures"
SCHEMA_VERSION = 2
LABELS = ("energy", "forces", "stress")

_PER_ATOM: dict[str, tuple[tuple[int, ...], str, str]] = {
    "positions": ((3,), "f8", "Å"),
    "numbers": ((), "u1", ""),
    "forces": ((3,), "f8", "eV/Å"),
}
_PER_STRUCTURE: dict[str, tuple[tuple[int, ...], str, str]] = {
    "cell": ((3, 3), "f8", "Å"),
    # Not as HDF5 booleans: these are converted one by one, ten times slower than they are read.
    "pbc": ((3,), "u1", ""),
    "energy": ((), "f8", "eV"),
    "stress": ((6,), "f8", "eV/Å^3"),
}
# Rows of a chunk: what one random access decompresses.
_ATOMS_PER_CHUNK = 256
_STRUCTURES_PER_CHUNK = 128
# Structures with fewer atoms than this between them are read together.
_LARGEST_GAP = 2 * _ATOMS_PER_CHUNK
# What the writer holds before it appends, and the reader takes at once when it scans.
_ATOMS_PER_BUFFER = 8192
_COMPRESSION: dict[str, Any] = {
    "compression": "gzip",
    "compression_opts": 1,
    "shuffle": True,
    "fletcher32": True,
}


@dataclass(frozen=True)
class StoreInfo:
    """Where a dataset comes from and what its labels are.

    Attributes:
        source: files, address or generator that the structures come from.
        licence: licence of the data.
        citation: how to cite the data.
        level_of_theory: such as ``PBE``; of a model, that of its training data.
        labels: whose labels: ``PBE`` or ``SevenNet-l3i5 (7net-l3i5)``.
        checksum: SHA-256 of the source; empty if there is no file.
        reference_energies: atomic number -> energy of the element in eV. If empty, they are
            fitted to the train part when a store is written.
    """

    source: str
    licence: str
    citation: str
    level_of_theory: str
    labels: str
    checksum: str
    reference_energies: dict[int, float] = field(default_factory=dict)


def write_store(
    path: str | Path,
    structures: Iterable[Structure],
    info: StoreInfo,
    split: Split | Mapping[str, Sequence[int] | np.ndarray],
    seed: int,
    official: OfficialParts | None = None,
    counts: Counts | None = None,
) -> None:
    """Write structures to a new store, as they come, in bounded memory.

    The file takes its name when it is complete. The same structures, split and seed give the
    same bytes.

    Args:
        path: the store; one that exists is replaced.
        structures: read once; labels that are absent are NaN.
        info: where the data come from. Its reference energies are looked at when all
            structures have been read, so the dictionary may be filled meanwhile.
        split: fractions, or the indices of each part, such as those of another store with
            the same structures.
        seed: seed of the split.
        official: parts that the source itself gives; they may be filled meanwhile, too.
        counts: largest sizes of the parts.

    Raises:
        UserError: there are no structures, the split cannot be made, or the disk is full.
    """
    path = Path(path)
    by = split.by if isinstance(split, Split) else "structure"
    keys = array("Q")
    with atomic_path(path) as temporary, open_for_writing(temporary) as file:
        writer = _Writer(file)
        for structure in tracked(structures, f"writing {path.name}", "structures"):
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


class StructureStore:
    """A store, opened for reading at random.

    It can be pickled and used on both sides of a fork: every process opens the file for
    itself when it first reads. Only ``ptr`` and the splits are held in memory.

    Attributes:
        path: the file.
        info: where the data come from.
        splits: part -> sorted int64 indices of its structures; a part may be empty.
        elements: sorted atomic numbers that occur.
        num_atoms: atoms of every structure, ``[structures]`` int64.
        labelled: label (energy, forces, stress) -> number of structures that have it.
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
            UserError: the file is missing, damaged, or no store of this version.
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
            raise self._damaged(error, "parts of it are missing") from error

    def __len__(self) -> int:
        return len(self.num_atoms)

    def __getitem__(self, index: int) -> Structure:
        return self.read([index])[0]

    # What torch's DataLoader calls with all indices of a batch.
    def __getitems__(self, indices: Sequence[int]) -> list[Structure]:
        return self.read(indices)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_columns": {}, "_process": -1}

    def read(self, indices: Sequence[int] | np.ndarray, *, groups: bool = True) -> list[Structure]:
        """Read structures in the order of ``indices``; neighbours are read together.

        Args:
            indices: of structures; negative ones count from the end.
            groups: whether to read what siblings share; training needs it not, and saves time.

        Raises:
            IndexError: an index beyond the store.
            UserError: the file is damaged.
        """
        wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
        if len(wanted) and not -len(self) <= wanted.min() <= wanted.max() < len(self):
            raise IndexError(f"{self.path}: {len(self)} structures, asked for {indices}")
        wanted = np.where(wanted < 0, wanted + len(self), wanted)
        found: dict[int, Structure] = {}
        # numpy takes as long to sort one index as HDF5 to read a structure.
        runs = self._runs(np.unique(wanted)) if len(wanted) > 1 else [wanted]
        try:
            for run in runs:
                found.update(self._read_run(run, groups))
        except OSError as error:
            raise self._damaged(error) from error
        return [found[index] for index in wanted.tolist()]

    def iterate(self, indices: Sequence[int] | np.ndarray | None = None) -> Iterator[Structure]:
        """Yield structures (all of them, if no indices are given) in bounded memory."""
        wanted = np.arange(len(self)) if indices is None else np.asarray(indices)
        for block in _blocks(self.num_atoms[wanted]):
            yield from self.read(wanted[block])

    def require(self, part: str, labels: Iterable[str] = ()) -> np.ndarray:
        """Return the indices of a part, which must not be empty, with labels on all structures.

        Args:
            part: train, valid or test.
            labels: labels that every structure of the store must have.

        Raises:
            UserError: the part is empty, or labels are missing.
        """
        if part not in self.splits or not len(self.splits[part]):
            raise UserError(
                f"{self.path}: the {part} part is empty; give it a fraction above 0 under split, "
                "then make the store anew"
            )
        for label in labels:
            if self.labelled[label] < len(self):
                raise UserError(
                    f"{self.path}: {len(self) - self.labelled[label]} of {len(self)} structures "
                    f"have no {label}; name its key under keys, or label them with a model"
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
        """Return a dataset; finding it by its name takes as long as reading a row from it."""
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
                f"{SCHEMA_VERSION}; delete the file, so that it is made anew"
            )
        self.info = _read_info(file)
        self.splits = {part: file[f"splits/{part}"][:] for part in PARTS}
        self.elements = [int(number) for number in file.attrs["elements"]]
        self.labelled = json.loads(file.attrs["labelled"])
        self._ptr = file["ptr"][:]
        self.num_atoms = np.diff(self._ptr)
        for name in _PER_ATOM:
            if file[name].shape[0] != self._ptr[-1]:
                raise ValueError(f"{name} has not one row for every atom")
        for name in (*_PER_STRUCTURE, "group"):
            if file[name].shape[0] != len(self):
                raise ValueError(f"{name} has not one row for every structure")

    def _runs(self, indices: np.ndarray) -> list[np.ndarray]:
        """Divide sorted indices where the gap is long."""
        gaps = self._ptr[indices[1:]] - self._ptr[indices[:-1] + 1]
        return np.split(indices, np.flatnonzero(gaps > _LARGEST_GAP) + 1)

    def _read_run(self, run: np.ndarray, with_groups: bool) -> Iterator[tuple[int, Structure]]:
        if not len(run):
            return
        first, last = int(run[0]), int(run[-1]) + 1
        start, stop = int(self._ptr[first]), int(self._ptr[last])
        atoms = {name: self._column(name)[start:stop] for name in _PER_ATOM}
        whole = {name: self._column(name)[first:last] for name in _PER_STRUCTURE}
        groups = self._groups(first, last) if with_groups else None
        for index in run.tolist():
            own = slice(self._ptr[index] - start, self._ptr[index + 1] - start)
            row = index - first
            # Copies, so that one structure does not keep a whole run in memory.
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

    def _groups(self, first: int, last: int) -> np.ndarray:
        """What the structures of a range share with their siblings, ``[structures]`` texts."""
        rows = self._column("group")[first:last]  # they never decrease
        names = self._column("groups").asstr()[rows[0] : rows[-1] + 1]
        return names[rows - rows[0]]

    def _damaged(self, error: Exception, what: str = "") -> UserError:
        if isinstance(error, FileNotFoundError):
            return UserError(f"{self.path}: no such store; make it first")
        if isinstance(error, PermissionError):
            return UserError(f"{self.path}: cannot be read ({error.strerror})")
        what = what or "not an HDF5 file, or cut off"
        return UserError(
            f"{self.path}: damaged ({what}: {error}); delete it, so that it is made anew"
        )


class _Writer:
    """Appends structures to an open file, a buffer at a time.

    Attributes:
        elements: atomic numbers seen so far.
        labelled: label -> number of structures that have it.
    """

    def __init__(self, file: h5py.File):
        self.file = file
        self.elements: set[int] = set()
        self.labelled = dict.fromkeys(LABELS, 0)
        self._buffer: list[Structure] = []
        self._buffered = 0
        self._atoms = 0
        self._last_group: str | None = None
        for columns, rows in (
            (_PER_ATOM, _ATOMS_PER_CHUNK),
            (_PER_STRUCTURE, _STRUCTURES_PER_CHUNK),
        ):
            for name, (shape, dtype, unit) in columns.items():
                self._create(name, shape, np.dtype(dtype), rows).attrs["unit"] = unit
        self._create("group", (), np.dtype("u4"), _STRUCTURES_PER_CHUNK)
        self._create("groups", (), h5py.string_dtype(), _STRUCTURES_PER_CHUNK)
        self._create("ptr", (), np.dtype("i8"), _STRUCTURES_PER_CHUNK)
        self._append("ptr", np.zeros(1, dtype=np.int64))

    def add(self, structure: Structure) -> None:
        """Take one structure.

        Raises:
            ValueError: its arrays do not fit together.
        """
        count = len(structure)
        shapes = {"positions": (count, 3), "forces": (count, 3), "cell": (3, 3), "stress": (6,)}
        for name, shape in shapes.items():
            if np.shape(getattr(structure, name)) != shape:
                raise ValueError(f"{name} of shape {np.shape(getattr(structure, name))}")
        if not count:
            raise ValueError("a structure without atoms")
        self.elements.update(np.unique(structure.numbers).tolist())
        for label in LABELS:
            self.labelled[label] += bool(np.all(np.isfinite(getattr(structure, label))))
        self._buffer.append(structure)
        self._buffered += count
        if self._buffered >= _ATOMS_PER_BUFFER:
            self.flush()

    def flush(self) -> None:
        """Append what is buffered to the file."""
        if not self._buffer:
            return
        for name in _PER_ATOM:
            self._append(name, np.concatenate([getattr(s, name) for s in self._buffer]))
        for name in _PER_STRUCTURE:
            self._append(name, [getattr(s, name) for s in self._buffer])
        self._append_groups([s.group for s in self._buffer])
        ends = self._atoms + np.cumsum([len(s) for s in self._buffer])
        self._append("ptr", ends)
        self._atoms = int(ends[-1])
        self._buffer, self._buffered = [], 0

    def _append_groups(self, groups: list[str]) -> None:
        """Give siblings that follow each other the same row of ``groups``."""
        previous = [self._last_group, *groups[:-1]]
        is_new = np.array([g != p for g, p in zip(groups, previous, strict=True)])
        rows = self.file["groups"].shape[0] - 1 + np.cumsum(is_new)
        self._append("groups", [g for g, new in zip(groups, is_new, strict=True) if new])
        self._append("group", rows)
        self._last_group = groups[-1]

    def _create(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype, rows: int
    ) -> h5py.Dataset:
        # Texts lie in HDF5's own heap, which its filters do not reach.
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


def _blocks(num_atoms: np.ndarray) -> Iterator[slice]:
    """Divide structures into neighbours of about one buffer of atoms."""
    start = atoms = 0
    for index, count in enumerate(num_atoms.tolist()):
        atoms += count
        if atoms >= _ATOMS_PER_BUFFER:
            yield slice(start, index + 1)
            start, atoms = index + 1, 0
    if start < len(num_atoms):
        yield slice(start, len(num_atoms))


def _fit_references(file: h5py.File, elements: list[int], train: np.ndarray) -> dict[int, float]:
    ptr = file["ptr"][:]
    chosen = np.zeros(len(ptr) - 1, dtype=bool)
    chosen[train] = True
    fit = EnergyFit(elements)
    for block in _blocks(np.diff(ptr)):
        first, last = ptr[block.start], ptr[block.stop]
        is_element = file["numbers"][first:last][:, None] == fit.elements
        counts = np.add.reduceat(is_element, ptr[block] - first, axis=0, dtype=np.int64)
        fit.add(counts[chosen[block]], file["energy"][block][chosen[block]])
    return fit.solve()


def _warn_of_unknown_atoms(path: Path, info: StoreInfo, elements: list[int]) -> None:
    if info.reference_energies:
        missing = [chemical_symbols[z] for z in elements if z not in info.reference_energies]
        logger.warning(
            "%s: there is no energy of an isolated atom of %s; reference energies of all elements "
            "are fitted to the train part instead",
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
    texts = {key: value for key, value in asdict(info).items() if isinstance(value, str)}
    by = split.model_dump() if isinstance(split, Split) else "given"
    file.attrs.update(texts)
    file.attrs.update(
        {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "elements": np.array(elements, dtype=np.int64),
            "labelled": json.dumps(labelled),
            "split": json.dumps(by),
            "seed": seed,
        }
    )
    references = sorted(info.reference_energies.items())
    table = file.create_group("reference_energies")
    table.attrs["unit"] = "eV"
    table.create_dataset("numbers", data=np.array([z for z, _ in references], dtype=np.int64))
    table.create_dataset("energy", data=np.array([e for _, e in references], dtype=np.float64))


def _read_info(file: h5py.File) -> StoreInfo:
    names = ("source", "licence", "citation", "level_of_theory", "labels", "checksum")
    table = file["reference_energies"]
    energies = zip(table["numbers"][:].tolist(), table["energy"][:].tolist(), strict=True)
    return StoreInfo(
        **{name: file.attrs[name] for name in names}, reference_energies=dict(energies)
    )
