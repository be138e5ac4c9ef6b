"""Systems of DeePMD-kit in its npy and raw formats, in directories or archives of them.

A system is a directory with ``type.raw`` (the type of each atom), ``type_map.raw`` (the element of
each type), an empty file ``nopbc`` if it is not periodic, and directories ``set.*`` with ``box``,
``coord``, ``energy``, ``force`` and ``virial`` as npy files, a frame a row, in Å, eV, eV/Å and eV.
Systems of mixed type have sets with ``real_atom_types``, the types for each frame, in which -1 is
padding. The stress is -virial/volume.

In the raw format, from which DeePMD-kit makes the sets, ``coord.raw`` and so on are beside
``type.raw`` instead of the sets, with the same numbers as text, one frame per line.
"""

import shutil
import zipfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, NamedTuple

import numpy as np

from irrepress.core.errors import UserError
from irrepress.data.config import LabelKeys
from irrepress.data.formats.archive_members import is_archive, members
from irrepress.data.formats.base import Reader, Record, Remark, frames_per_chunk
from irrepress.data.formats.compression import DAMAGE, damaged
from irrepress.data.formats.file_kinds import check_readable, kind_of, wrong_kind
from irrepress.data.formats.frame import Frame
from irrepress.data.formats.species import atomic_numbers
from irrepress.data.formats.temporary import temporary_directory

_REAL_TYPES = "real_atom_types"
_RESULTS = {"energy": "energy", "forces": "force", "stress": "virial"}


class _Frames(NamedTuple):
    """Consecutive frames of one set of a system.

    Attributes:
        source: path of archive and set, as messages call it.
        names: paths of archive and system.
        start: place of the first frame in the set.
        types: type of each atom, ``[atoms]``, or ``[frames, atoms]`` if types are mixed.
        elements: atomic number of each type.
        periodic: whether ``box`` holds the cells.
        arrays: rows of the npy files by name.
        part: official part, if a list tells it.
    """

    source: str
    names: tuple[str, ...]
    start: int
    types: np.ndarray
    elements: np.ndarray
    periodic: bool
    arrays: dict[str, np.ndarray]
    part: str | None


class DeepmdReader(Reader):
    """Reads systems of DeePMD-kit; a chunk is `_Frames`. The group is the system's path.

    Options: ``lists``, split -> text file that lists its systems, one per line; other systems are
    then left out (DPA-2's archives contain the same frames several times). ``type_map``, elements
    for systems without ``type_map.raw``.

    Example:
        >>> import tempfile
        >>> system = Path(tempfile.mkdtemp()) / "silicon"
        >>> system.mkdir()
        >>> for name, text in {"type": "0 0", "type_map": "Si", "coord": "0 0 0 1.4 1.4 1.4",
        ...                    "box": "9 0 0 0 9 0 0 0 9", "energy": "-10.8"}.items():
        ...     _ = (system / f"{name}.raw").write_text(text)
        >>> [record.structure.energy for record in DeepmdReader([system]).records() if record.where]
        [-10.8]
    """

    OPTIONS = frozenset({"lists", "type_map"})
    UNITS: ClassVar[dict[str, str]] = {"stress": "virial", "stress_sign": "ase"}

    def __init__(
        self, paths: Sequence[Path], keys: LabelKeys | None = None, *args: Any, **kwargs: Any
    ):
        """See `Reader`. A path is a directory or an archive of systems.

        Keys of labels name npy files: ``energy: energy_dft`` is ``set.*/energy_dft.npy``.
        """
        self._keys = keys or LabelKeys()
        super().__init__(paths, LabelKeys(group="system"), *args, **kwargs)

    def _check(self, path: Path) -> None:
        if path.is_dir():
            if not any(path.rglob("type.raw")):
                raise UserError(
                    f"{path}: there is no system of DeePMD-kit in it (no type.raw); give the "
                    "directory of the systems"
                )
            return
        check_readable(path)
        if not is_archive(path):
            raise wrong_kind(path, "a directory or an archive", kind_of(path))

    def chunks(self) -> Iterator[_Frames]:
        """See `Reader.chunks`."""
        for path in self.paths:
            found = False
            if path.is_dir():
                for chunk in self._systems(path, path):
                    yield chunk
                    found = True
            else:
                # Files of a system may be in any order in an archive.
                with temporary_directory() as directory:
                    _unpack(path, directory, self.options.get("lists", {}).values())
                    for chunk in self._systems(path, directory):
                        yield chunk
                        found = True
            if not found:
                raise UserError(
                    f"{path}: there is no system of DeePMD-kit with frames in it (type.raw, and "
                    "set.*/coord.npy or coord.raw); set format to what it holds, or convert it "
                    "with dpdata"
                )

    def parse(self, chunk: _Frames) -> Iterator[Record | Remark | UserError]:
        """See `Reader.parse`."""
        for offset in range(len(chunk.arrays["coord"])):
            where = f"{chunk.source}: frame {chunk.start + offset}"
            mixed = chunk.types.ndim == 2
            types = chunk.types[offset] if mixed else chunk.types
            # Only frames of mixed type are padded.
            real = types >= 0 if mixed else np.full(len(types), True)
            rows = {name: array[offset] for name, array in chunk.arrays.items()}
            try:
                if not np.isin(types[real], np.arange(len(chunk.elements))).all():
                    raise ValueError(f"types {min(types)} to {max(types)}, which are not all known")
                frame = Frame(
                    numbers=chunk.elements[types[real]],
                    positions=rows["coord"].reshape(-1, 3)[real],
                    cell=rows["box"].reshape(3, 3) if chunk.periodic else np.zeros((3, 3)),
                    pbc=np.full(3, chunk.periodic),
                    results={
                        name: rows[key].reshape(-1, 3)[real] if name == "forces" else rows[key]
                        for name, key in self._result_keys().items()
                        if key in rows and (name != "stress" or chunk.periodic)
                    },
                    fields={"system": chunk.names[-1]},
                    where=where,
                )
            except (IndexError, TypeError, ValueError) as error:
                yield UserError(
                    f"{where} cannot be read ({error}); check type.raw, type_map.raw and the npy "
                    "files of this system"
                )
            else:
                yield self._record(frame, *chunk.names, part=chunk.part)

    def _result_keys(self) -> dict[str, str]:
        return {name: getattr(self._keys, name) or key for name, key in _RESULTS.items()}

    def _systems(self, path: Path, directory: Path) -> Iterator[_Frames]:
        """Yield the frames of all systems below a directory, which may be unpacked from path."""
        for system, part in self._listed(path, directory):
            name = system.relative_to(directory).as_posix()
            try:
                yield from self._frames(path, system, name, part)
            except (OSError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
                raise UserError(
                    f"{path}: the system {name} is cut off or damaged ({error}); copy or "
                    "download it again"
                ) from error

    def _listed(self, path: Path, directory: Path) -> Iterator[tuple[Path, str | None]]:
        """Yield the systems to read, with their split if they are listed."""
        lists = self.options.get("lists", {})
        if not lists:
            for file in sorted(directory.rglob("type.raw")):
                yield file.parent, None
        for part, name in lists.items():
            files = sorted(directory.rglob(name))
            if not files:
                raise UserError(
                    f"{path}: there is no list {name} of the systems in the {part} split; it is "
                    "another archive or truncated: download it again"
                )
            root = files[0].parents[len(PurePosixPath(name).parts) - 1]
            for line in files[0].read_text().split():
                yield _find(path, directory, root, line), part

    def _frames(self, path: Path, system: Path, name: str, part: str | None) -> Iterator[_Frames]:
        where = f"{path}: {name}" if name != "." else str(path)
        types = np.loadtxt(system / "type.raw", dtype=np.int64, ndmin=1)
        elements = self._elements(system, where)
        periodic = not (system / "nopbc").exists()
        wanted = ["coord", *self._result_keys().values(), *(["box"] if periodic else [])]
        if not periodic and any([*system.glob("set.*/box.npy"), *system.glob("box.raw")]):
            self.remarks.append(Remark("cells not read, because of the file nopbc", where))
        folders = sorted(system.glob("set.*"))
        if not folders and (system / "coord.raw").exists():
            for start, chunk in _raw_frames(system, wanted, frames_per_chunk(48 * len(types))):
                yield _Frames(
                    where, (str(path), name), start, types, elements, periodic, chunk, part
                )
            return
        if folders and (system / "coord.raw").exists():
            text = "raw files not read, as the sets of npy files beside them were made from them"
            self.remarks.append(Remark(text, where))
        for folder in folders:
            # Memory-mapped rows are read when they are copied to a chunk.
            arrays = {
                key: np.load(folder / f"{key}.npy", mmap_mode="r")
                for key in (*wanted, _REAL_TYPES)
                if (folder / f"{key}.npy").exists()
            }
            missing = {"coord", "box" if periodic else "coord"} - arrays.keys()
            count = len(arrays["coord"]) if "coord" in arrays else 0
            uneven = [key for key in arrays if len(arrays[key]) != count]
            if missing:
                hint = " and there is no file nopbc" * ("box" in missing)
                raise ValueError(f"{folder.name} has no {min(missing)}.npy{hint}")
            if uneven:
                raise ValueError(f"{folder.name}/{uneven[0]}.npy has not {count} rows")
            step = frames_per_chunk(48 * len(types))
            for start in range(0, count, step):
                rows = slice(start, start + step)
                chunk = {key: np.array(array[rows]) for key, array in arrays.items()}
                real = chunk.pop(_REAL_TYPES, None)
                yield _Frames(
                    source=f"{where}/{folder.name}",
                    names=(str(path), name),
                    start=start,
                    types=types if real is None else real.astype(np.int64),
                    elements=elements,
                    periodic=periodic,
                    arrays=chunk,
                    part=part,
                )

    def _elements(self, system: Path, where: str) -> np.ndarray:
        file = system / "type_map.raw"
        names = file.read_text().split() if file.exists() else self.options.get("type_map", ())
        if not names:
            raise UserError(
                f"{where}: there is no type_map.raw with the elements; write one, with one element "
                "per line in the order of the types"
            )
        try:
            numbers, notes = atomic_numbers(names)
        except ValueError as error:
            raise UserError(
                f"{where}: type_map.raw cannot be read ({error}); write the elements in the order "
                "of the types"
            ) from error
        if unknown := [name for name, number in zip(names, numbers, strict=True) if not number]:
            raise UserError(
                f"{where}: {', '.join(unknown)} in type_map.raw is not an element; write the "
                "elements in the order of the types"
            )
        self.remarks += [Remark(note, where) for note in notes]
        return numbers


def _raw_frames(
    system: Path, wanted: Collection[str], step: int
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Yield index and rows of consecutive frames of a system in the raw format.

    Raises:
        ValueError: if a file is missing or their numbers of lines differ.
    """
    present = [name for name in wanted if (system / f"{name}.raw").exists()]
    if missing := {"coord", "box"} & {*wanted} - {*present}:
        raise ValueError(
            f"it has no {min(missing)}.raw" + (" and no file nopbc" * ("box" in missing))
        )
    with ExitStack() as stack:
        files = {
            name: stack.enter_context((system / f"{name}.raw").open(encoding="utf-8-sig"))
            for name in present
        }
        start = 0
        while True:
            lines = {
                name: list(islice((line for line in file if line.strip()), step))
                for name, file in files.items()
            }
            count = len(lines["coord"])
            if uneven := [name for name in lines if len(lines[name]) != count]:
                raise ValueError(f"coord.raw and {uneven[0]}.raw have different numbers of lines")
            if not count:
                return
            yield start, {name: np.loadtxt(text, ndmin=2) for name, text in lines.items()}
            start += count


def _find(path: Path, directory: Path, root: Path, line: str) -> Path:
    """Return the system in a line of a list.

    Lists contain paths on the authors' machines, whose last components are looked up.
    """
    parts = [part for part in PurePosixPath(line).parts if part not in ("/", "..")]
    for base in (root, directory):
        for first in range(len(parts)):
            system = base.joinpath(*parts[first:])
            if (system / "type.raw").exists():
                return system
    raise UserError(
        f"{path}: the list of systems contains {line}, which does not exist; download it again"
    )


def _unpack(path: Path, directory: Path, lists: Collection[str]) -> None:
    """Unpack the files and lists of systems from an archive."""
    try:
        for name, stream in members(path):
            parts = PurePosixPath(name).parts
            if ".." in parts or name.startswith("/"):
                raise UserError(
                    f"{path}: the member {name!r} leaves the archive; unpack it yourself"
                )
            is_array = name.endswith(".npy") and parts[-2:-1] and parts[-2].startswith("set.")
            if (
                is_array
                or parts[-1].endswith(".raw")
                or parts[-1] == "nopbc"
                or name.endswith(tuple(lists))
            ):
                target = directory.joinpath(*parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as copy:
                    shutil.copyfileobj(stream, copy, 1 << 20)
    except DAMAGE as error:
        raise damaged(str(path), error) from error
