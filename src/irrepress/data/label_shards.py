"""Labels by models, kept in files by content, so that no structure is labelled twice.

A shard is a file of NumPy arrays (``.npz``), written once and never changed: keys of structures,
numbers of atoms, and one array for each label. Its name is a hash of its keys. Shards of one model
share a folder, whose name is a hash of the model's file, level of theory and dtype. So studies, and
jobs that run at the same time, share labels, and a killed job loses the labels of its last minute
at most.

A shard may have further arrays, which readers that do not ask for them ignore.
"""

import hashlib
import logging
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from irrepress.core.files import atomic_path, write_json
from irrepress.core.structure import Structure

logger = logging.getLogger(__name__)

# Shape after the first axis of what a shard holds, for each atom and for each structure.
PER_ATOM: dict[str, tuple[int, ...]] = {"forces": (3,)}
PER_STRUCTURE: dict[str, tuple[int, ...]] = {"energy": (), "stress": (6,)}
# Increased if labels of earlier versions must not be used any more.
_VERSION = 1

Labels = dict[str, np.ndarray]


@dataclass(frozen=True)
class LabelOrigin:
    """What determines the labels of a structure, besides the structure.

    Attributes:
        checkpoint_sha256: SHA-256 of the model's file.
        modal: the level of theory of a multi-modal model.
        dtype: the dtype that the model computes in, such as ``float32``.

    Example:
        >>> len(LabelOrigin(64 * "0", None, "float32").key)
        32
    """

    checkpoint_sha256: str
    modal: str | None
    dtype: str

    @property
    def key(self) -> str:
        """A hash that names the folder of its shards."""
        text = f"{_VERSION} {self.checkpoint_sha256} {self.modal} {self.dtype}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def structure_key(structure: Structure) -> tuple[int, int]:
    """Return a 128-bit key of a structure's geometry: numbers, positions, cell and periodicity."""
    digest = hashlib.sha256(len(structure).to_bytes(8, "little"))
    for array, dtype in (
        (structure.numbers, "<i8"),
        (structure.positions, "<f8"),
        (structure.cell, "<f8"),
        (structure.pbc, "u1"),
    ):
        # Adding zero turns -0.0 into 0.0.
        plain = np.ascontiguousarray(array, dtype=dtype)
        digest.update((plain + plain.dtype.type(0)).tobytes())
    first, second = np.frombuffer(digest.digest()[:16], dtype="<u8").tolist()
    return first, second


class LabelShards:
    """The shards of one model: find, read and add labels.

    The index (24 bytes for each label) is in memory, the labels are not.

    Args:
        directory: directory of the shards of all models.
        origin: the model.
        columns: the labels wanted of every structure; shards without one of them are not used.

    Attributes:
        folder: the folder of this model's shards.

    Example:
        >>> import tempfile
        >>> shards = LabelShards(Path(tempfile.mkdtemp()), LabelOrigin(64 * "0", None, "float32"))
        >>> keys = [structure_key(structure) for structure in structures]
        >>> shards.write(keys[:2], [shards.labels_of(structure) for structure in structures[:2]])
        >>> sorted(shards.find(keys)), len(shards)
        ([0, 1], 2)
    """

    def __init__(
        self,
        directory: str | Path,
        origin: LabelOrigin,
        columns: Sequence[str] = (*PER_STRUCTURE, *PER_ATOM),
    ):
        self.folder = Path(directory) / origin.key
        self._origin = origin
        self._columns = tuple(columns)
        self._shards: list[Path] = []
        self._seen: set[str] = set()
        self._changed = 0
        # Sorted by the first half of the key: halves of the keys, shard and row.
        self._index = np.empty((0, 2), dtype=np.uint64)
        self._places = np.empty((0, 2), dtype=np.int32)
        self.refresh()

    def __len__(self) -> int:
        return len(self._index)

    def labels_of(self, structure: Structure) -> Labels:
        """Return the labels of a structure as arrays, by column."""
        return {name: np.asarray(getattr(structure, name)) for name in self._columns}

    def refresh(self) -> None:
        """Take account of shards that other jobs have written since."""
        with suppress(FileNotFoundError):
            changed = self.folder.stat().st_mtime_ns
            if changed == self._changed:
                return
            self._changed = changed
        for path in sorted(self.folder.glob("*.npz")):
            if path.name not in self._seen and not path.name.startswith("."):
                self._seen.add(path.name)
                try:
                    with np.load(path) as shard:
                        if set(self._columns) <= set(shard.files):
                            self._add(path, shard["keys"])
                except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
                    logger.warning("%s: not read (%s); delete it", path, error)

    def find(self, keys: Sequence[tuple[int, int]]) -> dict[int, Labels]:
        """Return the labels that are kept of some structures.

        Args:
            keys: keys of the structures.

        Returns:
            Position in ``keys`` -> labels by column.
        """
        if not keys or not len(self._index):
            return {}
        wanted = np.array(keys, dtype=np.uint64)
        rows = np.searchsorted(self._index[:, 0], wanted[:, 0])
        rows = np.minimum(rows, len(self._index) - 1)
        hits = np.flatnonzero((self._index[rows] == wanted).all(axis=1))
        found: dict[int, Labels] = {}
        places = self._places[rows]
        for number in np.unique(places[hits, 0]).tolist():
            chosen = hits[places[hits, 0] == number]
            found |= self._read(self._shards[number], chosen, places[chosen, 1])
        return found

    def write(self, keys: Sequence[tuple[int, int]], labels: Sequence[Labels]) -> None:
        """Write a shard.

        Args:
            keys: keys of the structures.
            labels: their labels by column.

        Raises:
            UserError: if the folder is not writable or the disk is full.
        """
        array = np.array(keys, dtype=np.uint64)
        name = hashlib.sha256(array.tobytes()).hexdigest()[:32]
        description = self.folder / "model.json"
        if not description.is_file():
            write_json(description, {"version": _VERSION, **vars(self._origin)})
        columns: dict[str, Any] = {
            column: (np.concatenate if column in PER_ATOM else np.stack)(
                [each[column] for each in labels]
            )
            for column in self._columns
        }
        counts = np.array([len(each["forces"]) for each in labels], dtype=np.int64)
        path = self.folder / f"{name}.npz"
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, keys=array, num_atoms=counts, **columns)
        self._seen.add(path.name)
        self._add(path, array)

    def _add(self, path: Path, keys: np.ndarray) -> None:
        own = np.stack(
            [np.full(len(keys), len(self._shards)), np.arange(len(keys))], axis=1, dtype=np.int32
        )
        self._shards.append(path)
        index = np.concatenate([self._index, keys])
        order = np.argsort(index[:, 0], kind="stable")
        self._index = index[order]
        self._places = np.concatenate([self._places, own])[order]

    def _read(self, path: Path, positions: np.ndarray, rows: np.ndarray) -> dict[int, Labels]:
        try:
            with np.load(path) as shard:
                ends = np.cumsum(shard["num_atoms"])
                columns = {name: shard[name] for name in self._columns}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            logger.warning("%s: not read (%s); delete it", path, error)
            return {}
        begins = np.concatenate([[0], ends[:-1]])
        return {
            int(position): {
                name: column[begins[row] : ends[row]].copy() if name in PER_ATOM else column[row]
                for name, column in columns.items()
            }
            for position, row in zip(positions, rows, strict=True)
        }
