"""Labelled structures from files of the user."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress

from irrepress.config import Files, LabelKeys
from irrepress.errors import UserError
from irrepress.files import sha256
from irrepress.structures.checks import check_structure, warn_of_units
from irrepress.structures.frames import check_readable, read_frames
from irrepress.structures.store import StoreInfo, write_store
from irrepress.structures.structure import Structure

logger = logging.getLogger(__name__)


class FileStructures(Iterator[Structure]):
    """The structures of ``paths``, then those of ``test_paths``, checked one by one.

    Attributes:
        test_indices: places of the structures from ``test_paths``, as far as it was read.
    """

    def __init__(self, config: Files):
        self.test_indices: list[int] = []
        self._config = config
        self._structures = self._read()

    def __next__(self) -> Structure:
        return next(self._structures)

    def _read(self) -> Iterator[Structure]:
        config = self._config
        index = 0
        for path in config.paths:
            for structure in read_file(Path(path), config.keys, config.limit):
                yield structure
                index += 1
        for path in config.test_paths:
            for structure in read_file(Path(path), config.keys, config.limit):
                self.test_indices.append(index)
                yield structure
                index += 1


def read_files(config: Files) -> FileStructures:
    """Return an iterator over the structures of all files.

    Raises:
        UserError: at once if a file is missing or empty; while reading, if a frame is unreadable,
            has no energy or forces, or does not pass `checks.check_structure`.
    """
    for path in (*config.paths, *config.test_paths):
        check_readable(Path(path))
    return FileStructures(config)


def read_file(path: Path, keys: LabelKeys, limit: int | None = None) -> Iterator[Structure]:
    """Yield the structures of one file.

    Args:
        path: any file that ASE reads.
        keys: where the labels are; null means where ASE puts them.
        limit: read at most so many.

    Raises:
        UserError: see `read_files`.
    """
    for index, atoms in enumerate(islice(read_frames(path), limit)):
        where = f"{path}: frame {index}"
        structure = to_structure(atoms, keys, where)
        check_structure(structure, where)
        if index == 0:
            warn_of_units(structure, where)
        yield structure


def store_files(path: str | Path, config: Files) -> None:
    """Read files and write them to a store, with the official test files as test part.

    Raises:
        UserError: see `read_files` and `store.write_store`.
    """
    structures = read_files(config)
    names = [*config.paths, *config.test_paths]
    info = StoreInfo(
        source=", ".join(names) if len(names) <= 20 else f"{names[0]} and {len(names) - 1} more",
        licence=config.licence,
        citation=config.citation,
        level_of_theory=config.level_of_theory,
        labels=config.level_of_theory,
        checksum=checksum(names),
    )
    test_indices = structures.test_indices if config.test_paths else None
    write_store(path, structures, info, config.split, config.seed, test_indices)


def checksum(paths: Sequence[str | Path]) -> str:
    """Return the SHA-256 of one file, or of the SHA-256 sums of several, one a line."""
    digests = [sha256(path) for path in paths]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()


def to_structure(atoms: Atoms, keys: LabelKeys, where: str) -> Structure:
    """Take geometry and labels from ASE atoms.

    Args:
        atoms: with labels in its calculator, ``info`` or ``arrays``.
        keys: names of the labels; null means the calculator's results. Energy and forces
            must be there; stress may be absent unless its key is given.
        where: file and frame, to begin messages with.

    Raises:
        UserError: a label is absent or has the wrong shape.
    """
    energy = _label(atoms, "energy", keys.energy, where)
    forces = _label(atoms, "forces", keys.forces, where)
    stress = None
    if keys.stress or "stress" in _results(atoms):
        stress = _label(atoms, "stress", keys.stress, where)
    return Structure(
        numbers=atoms.get_atomic_numbers(),
        positions=atoms.get_positions(),
        cell=np.array(atoms.cell),
        pbc=atoms.get_pbc(),
        energy=float(_shaped(energy, (), "energy", where)),
        forces=_shaped(forces, (len(atoms), 3), "forces", where),
        stress=np.full(6, np.nan) if stress is None else _voigt(stress, where),
        group=str(atoms.info.get("group", "")),
    )


def _results(atoms: Atoms) -> dict[str, Any]:
    return atoms.calc.results if atoms.calc is not None else {}


def _label(atoms: Atoms, name: str, key: str | None, where: str) -> Any:
    results = _results(atoms)
    if key is None:
        if results.get(name) is not None:
            return results[name]
    else:
        for place in (atoms.info, atoms.arrays, results):
            if place.get(key) is not None:
                return place[key]
    found = {*atoms.info, *atoms.arrays, *results} - {"numbers", "positions"}
    raise UserError(
        f"{where}: no {name} under the key {key or name!r}; set keys.{name} to the right one of "
        f"{', '.join(sorted(found)) or 'none (there are no labels at all)'}"
    )


def _shaped(value: Any, shape: tuple[int, ...], name: str, where: str) -> np.ndarray:
    """Return a label as float64 of the given shape; a missing number must not pass as NaN."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError(f"{where}: {name} is {value!r}, not numbers; mend the file") from None
    if array.shape != shape and array.size != int(np.prod(shape)):
        raise UserError(
            f"{where}: {name} has the shape {list(array.shape)}, expected {list(shape)}; check "
            f"keys.{name}"
        )
    if not np.all(np.isfinite(array)):
        raise UserError(
            f"{where}: {name} holds {array[~np.isfinite(array)].flat[0]}; mend or remove the frame"
        )
    return array.reshape(shape)


def _voigt(value: Any, where: str) -> np.ndarray:
    """Return stress in Voigt order from 6 components or a symmetric 3 × 3 matrix."""
    if np.size(value) == 6:
        return _shaped(value, (6,), "stress", where)
    matrix = _shaped(value, (3, 3), "stress", where)
    if np.abs(matrix - matrix.T).max() > 1e-3 * max(np.abs(matrix).max(), 1e-2):
        raise UserError(
            f"{where}: the stress {matrix.tolist()} is not symmetric; check keys.stress"
        )
    return full_3x3_to_voigt_6_stress(matrix)
