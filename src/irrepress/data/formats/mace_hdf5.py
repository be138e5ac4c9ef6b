"""HDF5 files written by ``mace_prepare_data``, in eV, eV/Å and eV/Å^3.

A file holds groups ``config_batch_N``, each with groups ``config_N``:

- ``atomic_numbers``, ``positions``, ``cell``, ``pbc``, ``weight``, ``config_type``;
- in newer versions a group ``properties`` with energy, forces, stress, virials, ... and a group
  ``property_weights`` with the weight of each; in older ones both lie beside the positions, the
  weights as ``energy_weight`` and so on.

Missing values are the string ``None``, or in older versions zeros with zero weight. To make the
number of frames even, MACE repeats the last one and sets the attribute ``drop_last``.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from irrepress.core.errors import UserError
from irrepress.core.quantities import QUANTITIES
from irrepress.data.formats.base import Reader, Record, Remark, frames_per_chunk, nothing_in
from irrepress.data.formats.file_kinds import check_readable, kind_of, wrong_kind
from irrepress.data.formats.frame import Frame

SUFFIXES = (".h5", ".hdf5")
# No frame has more; the limit protects the memory from damaged sizes.
_MOST_BYTES = 1 << 28
_BATCH = "config_batch_"
_GEOMETRY = {"atomic_numbers", "positions", "cell", "pbc", "weight", "property_weights"}


class _Configs(NamedTuple):
    """Consecutive groups ``config_N`` in one group of a file."""

    path: str
    batch: str
    start: int
    stop: int


class MaceHdf5Reader(Reader):
    """Reads HDF5 files of MACE, or directories of them; a chunk is `_Configs`.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "helium.h5"
        >>> with h5py.File(path, "w") as file:
        ...     group = file.create_group("config_batch_0/config_0")
        ...     for key, value in {"atomic_numbers": [2], "positions": [[0.0, 0.0, 0.0]],
        ...                        "cell": "None", "pbc": "None", "energy": -2.5}.items():
        ...         group[key] = value
        >>> [record.structure.energy for record in MaceHdf5Reader([path]).records()]
        [-2.5]
    """

    def __init__(self, paths: Sequence[Path], *args: Any, **kwargs: Any):
        """See `Reader`. A directory is read as all HDF5 files in it."""
        files = [file for path in paths for file in _files_in(Path(path))]
        super().__init__(files, *args, **kwargs)
        named = {value for value in self.keys.model_dump().values() if value}
        self._wanted = frozenset({*QUANTITIES, "virials", *named})

    def _check(self, path: Path) -> None:
        super()._check(path)
        if kind_of(path) != "HDF5":
            raise wrong_kind(path, "an HDF5 file", kind_of(path))
        with _opened(str(path)) as file:
            if not _batches(file):
                raise UserError(
                    f"{path}: an HDF5 file, but not of mace_prepare_data (it has no group "
                    f"{_BATCH}0, but {', '.join(islice(file, 3)) or 'nothing'}); export the "
                    "structures as extxyz"
                )

    def chunks(self) -> Iterator[_Configs]:
        """See `Reader.chunks`."""
        for path in self.paths:
            # Closed before the first chunk is yielded: processes forked later must not share it.
            with _opened(str(path)) as file:
                counts = {name: len(file[name]) for name in _batches(file)}
                last = list(counts)[-1]
                counts[last] -= _repeats_last(file, last, counts[last])
            if not sum(counts.values()):
                raise nothing_in(path)
            for batch, count in counts.items():
                step = frames_per_chunk()
                for start in range(0, count, step):
                    yield _Configs(str(path), batch, start, min(start + step, count))

    def parse(self, chunk: _Configs) -> Iterator[Record | Remark | UserError]:
        """See `Reader.parse`."""
        path, batch, start, stop = chunk
        with _opened(path) as file:
            for number in range(start, stop):
                where = f"{path}: {batch}/config_{number}"
                try:
                    frame = _frame(file[batch][f"config_{number}"], where, self._wanted)
                except (KeyError, ValueError, TypeError, AttributeError) as error:
                    yield UserError(
                        f"{where} cannot be read ({type(error).__name__}: {error}); write the "
                        "file again with mace_prepare_data"
                    )
                else:
                    yield self._record(frame, path)


class _opened:
    """An open HDF5 file, whose errors are converted to UserError."""

    def __init__(self, path: str):
        self._path = path

    def __enter__(self) -> h5py.File:
        try:
            self._file = h5py.File(self._path, "r")
        except OSError as error:
            raise self._damaged(error) from error
        return self._file

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._file.close()
        # An object may be of another kind than expected: a dataset instead of a group, ...
        if isinstance(error, Exception) and not isinstance(error, UserError):
            raise self._damaged(error) from error

    def _damaged(self, error: BaseException) -> UserError:
        return UserError(
            f"{self._path}: the HDF5 file is cut off or damaged ({error}); copy or download it "
            "again"
        )


def _files_in(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = [file for file in path.iterdir() if file.suffix.lower() in SUFFIXES]
    if not files:
        raise UserError(f"{path}: there are no {' or '.join(SUFFIXES)} files in this directory")
    for file in files:
        check_readable(file)
    return sorted(files, key=lambda file: _natural(file.name))


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts train_2 before train_10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def is_of_mace(path: Path) -> bool:
    """Return whether this reader can read a file; False if it is missing or damaged."""
    if not path.is_file() or kind_of(path) != "HDF5":
        return False
    try:
        with _opened(str(path)) as file:
            return bool(_batches(file))
    except UserError:
        return False


def _batches(file: h5py.File) -> list[str]:
    return sorted(
        (name for name, kind in file.items() if name.startswith(_BATCH) and _is_group(kind)),
        key=_natural,
    )


def _is_group(item: Any) -> bool:
    return isinstance(item, h5py.Group)


def _repeats_last(file: h5py.File, batch: str, count: int) -> bool:
    """Return whether the last frame of a file is repeated to make their number even.

    The attribute is set on all files of a set, but only the last one has the repetition.
    """
    if count < 2 or not file.attrs.get("drop_last", False):
        return False
    last, before = (file[batch][f"config_{number}"] for number in (count - 1, count - 2))
    return all(
        np.array_equal(_value(last[key]), _value(before[key]))
        for key in ("atomic_numbers", "positions")
    )


def _frame(group: h5py.Group, where: str, wanted: frozenset[str]) -> Frame:
    """Return the frame of a group.

    Args:
        group: ``config_N``.
        where: its name in messages.
        wanted: names of the properties to read, as each takes time.
    """
    properties = group["properties"] if "properties" in group else group
    # Only the names of others are kept, for messages.
    fields: dict[str, Any] = dict.fromkeys(set(properties) - _GEOMETRY)
    for key in wanted & fields.keys():
        fields[key] = _value(properties[key])
        if fields[key] is not None:
            fields[f"{key}_weight"] = _weight(group, key)
    fields["weight"] = _value(group["weight"]) if "weight" in group else None
    fields["config_type"] = _value(group["config_type"]) if "config_type" in group else None
    results = {key: fields.get(key) for key in QUANTITIES}
    cell = _value(group["cell"])
    cell = np.zeros((3, 3)) if cell is None else np.asarray(cell, dtype=float).reshape(3, 3)
    pbc = _value(group["pbc"])
    return Frame(
        numbers=np.asarray(_value(group["atomic_numbers"]), dtype=np.int64),
        positions=np.asarray(_value(group["positions"]), dtype=float).reshape(-1, 3),
        cell=cell,
        pbc=np.broadcast_to(np.asarray(False if pbc is None else pbc, dtype=bool), 3),
        results=results,
        fields=fields,
        where=where,
    )


def _value(dataset: h5py.Dataset) -> Any:
    if dataset.nbytes > _MOST_BYTES:
        raise ValueError(f"{dataset.name} has {dataset.nbytes} bytes")
    value = dataset[()]
    value = value.decode() if isinstance(value, bytes) else value
    return None if isinstance(value, str) and value == "None" else value


def _weight(group: h5py.Group, key: str) -> float:
    """Return the weight of a property, 1 if there is none."""
    weights = group.get("property_weights")
    if weights is not None:
        value = _value(weights[key]) if key in weights else None
    else:
        value = _value(group[f"{key}_weight"]) if f"{key}_weight" in group else None
    return 1.0 if value is None else float(value)
