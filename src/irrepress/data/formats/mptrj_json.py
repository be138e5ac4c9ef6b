"""JSON of CHGNet: MPtrj as its authors published it, one file of 12 GB, read as a stream, and what
``chgnet.utils.parse_vasp_dir`` saves of a run of VASP.

MPtrj is ``{material: {frame: {...}}}``, where a frame holds

- ``structure``: a structure of pymatgen as a dictionary;
- ``uncorrected_total_energy`` in eV, what VASP computed: it belongs to the forces, and it is what
  MACE-MP-0, SevenNet-0 and the extxyz file of Matbench Discovery use. It is the energy here.
  ``corrected_total_energy`` has the corrections of Materials Project 2020 added (CHGNet's choice,
  as ``energy_per_atom``); name it under ``keys.energy`` to get it;
- ``force`` in eV/Å, ``magmom``;
- ``stress``, ``[3, 3]`` in kbar with VASP's sign: times -0.1 it is in GPa with ASE's sign.

Files of one's own may have ``energy``, or ``energy_per_atom`` only (the corrected energy in
MPtrj, but what VASP computed in a file of one's own); times the number of atoms it is the energy.
A run of VASP is ``{"structure": [...], "energy_per_atom": [...], "force": [...], ...}``, a list
of the frames' values under each of these names.

The group of a frame is its material.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import ijson
import numpy as np
from ase.data import atomic_numbers

from irrepress.core.errors import UserError
from irrepress.data.config import LabelKeys
from irrepress.data.formats.archive_members import is_archive
from irrepress.data.formats.base import Reader, Record, Remark, gather, nothing_in
from irrepress.data.formats.compression import DAMAGE, damaged, head_of, open_binary
from irrepress.data.formats.file_kinds import kind_of, wrong_kind
from irrepress.data.formats.frame import Frame
from irrepress.data.formats.texts import in_utf8, text_in_utf8

ENERGIES = ("uncorrected_total_energy", "corrected_total_energy")
PER_ATOM = "energy_per_atom"
_EXPECTED = (
    "JSON of CHGNet holds frames by name under each material, each with structure, force and "
    "uncorrected_total_energy or energy_per_atom; or a list of all frames' values under each of "
    "these names. Write it like that, or write the structures as extxyz"
)


class MptrjJsonReader(Reader):
    """Reads JSON of CHGNet; a chunk is a list of frames or errors.

    Example:
        >>> import json, tempfile
        >>> site = {"species": [{"element": "Si", "occu": 1}], "xyz": [0.0, 0.0, 0.0]}
        >>> lattice = {"matrix": [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]}
        >>> frame = {"structure": {"lattice": lattice, "sites": [site]},
        ...          "uncorrected_total_energy": -5.4, "force": [[0.0, 0.0, 0.0]]}
        >>> path = Path(tempfile.mkdtemp()) / "silicon.json"
        >>> _ = path.write_text(json.dumps({"mp-1": {"mp-1-0-0": frame}}))
        >>> [record.structure.energy for record in MptrjJsonReader([path]).records()]
        [-5.4]
    """

    UNITS: ClassVar[dict[str, str]] = {
        "energy": "eV",
        "length": "Å",
        "stress": "kbar",
        "stress_sign": "vasp",
    }

    def __init__(
        self, paths: Sequence[Path], keys: LabelKeys | None = None, *args: Any, **kwargs: Any
    ):
        """See `Reader`."""
        keys = keys or LabelKeys()
        keys = keys.model_copy(update={"group": keys.group or "material"})
        super().__init__(paths, keys, *args, **kwargs)

    def _check(self, path: Path) -> None:
        super()._check(path)
        kind = kind_of(path)
        if kind not in (None, "gzip", "bzip2", "xz") or is_archive(path):
            raise wrong_kind(path, "JSON", kind)
        if not in_utf8(head_of(path)).lstrip().startswith(b"{"):
            raise UserError(f"{path}: does not begin as JSON of CHGNet does; {_EXPECTED}")

    def chunks(self) -> Iterator[list[tuple[str, Frame | UserError]]]:
        """See `Reader.chunks`."""
        return gather(self._frames())

    def parse(
        self, chunk: list[tuple[str, Frame | UserError]]
    ) -> Iterator[Record | Remark | UserError]:
        """See `Reader.parse`."""
        for path, frame in chunk:
            yield frame if isinstance(frame, UserError) else self._record(frame, path)

    def _frames(self) -> Iterator[tuple[int, tuple[str, Frame | UserError]]]:
        for path in self.paths:
            found = False
            columns: dict[str, list[Any] | None] = {}
            for material, frames in _materials(path):
                if isinstance(frames, list) or (columns and frames is None):
                    columns[material] = frames  # a run of VASP, whose columns fit into memory
                    continue
                if not isinstance(frames, dict):
                    raise UserError(
                        f"{path}: {material}: expected its frames by name, found {str(frames)[:40]}"
                        f"; {_EXPECTED}"
                    )
                for name, frame in frames.items():
                    found = True
                    yield self._item(path, frame, material, f"{path}: {material}: {name}")
            for index, frame in enumerate(_rows(path, columns)):
                found = True
                yield self._item(path, frame, path.name, f"{path}: frame {index}")
            if not found:
                raise nothing_in(path)

    def _item(
        self, path: Path, frame: Any, material: str, where: str
    ) -> tuple[int, tuple[str, Frame | UserError]]:
        """Return size and content of an item for a worker."""
        try:
            if self.keys.energy is None and _only_per_atom(frame):
                self._tell_once(f"energy taken from {PER_ATOM} times the number of atoms", path)
            item = _frame(frame, material, where)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"there is no {error}" if isinstance(error, KeyError) else error
            return 0, (str(path), UserError(f"{where} cannot be read ({reason}); {_EXPECTED}"))
        return 60 * len(item.numbers), (str(path), item)

    def _tell_once(self, text: str, path: Path) -> None:
        if (remark := Remark(text, str(path))) not in self.remarks:
            self.remarks.append(remark)


def _materials(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the materials with their frames, one at a time."""
    last = "its beginning"
    try:
        with open_binary(path) as plain:
            stream = text_in_utf8(plain)
            for material, frames in ijson.kvitems(stream, "", use_float=True):
                yield material, frames
                last = material
    except ijson.JSONError as error:
        raise UserError(
            f"{path}: not JSON after {last} ({str(error).splitlines()[0].strip()}); the file is "
            "cut off or damaged, download it again"
        ) from error
    except DAMAGE as error:
        raise damaged(f"{path}: after {last}", error) from error


def _rows(path: Path, columns: Mapping[str, list[Any] | None]) -> Iterator[dict[str, Any]]:
    """Yield the frames of a run of VASP from its columns."""
    if not columns:
        return
    frames = columns.get("structure")
    if not frames:
        names = ", ".join(columns)
        raise UserError(f"{path}: lists of {names}, but none of structure; {_EXPECTED}")
    # Quantities that were not computed are null or empty lists.
    columns = {key: values for key, values in columns.items() if values}
    uneven = [key for key, values in columns.items() if len(values or ()) != len(frames)]
    if uneven:
        raise UserError(
            f"{path}: {len(frames)} values of structure, but {len(columns[uneven[0]] or ())} of "
            f"{uneven[0]}; the frames cannot be separated, write the file again"
        )
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _frame(frame: Mapping[str, Any], material: str, where: str) -> Frame:
    """Convert a frame to arrays, which are sent to workers faster than pymatgen's dictionary."""
    structure = frame["structure"]
    sites = structure["sites"]
    cell = np.array(structure["lattice"]["matrix"], dtype=float).reshape(3, 3)
    positions = [site["xyz"] if "xyz" in site else np.dot(site["abc"], cell) for site in sites]
    energies = {key: frame[key] for key in ENERGIES if frame.get(key) is not None}
    if frame.get(PER_ATOM) is not None:
        energies[PER_ATOM] = frame[PER_ATOM]  # `labels` multiplies it if it is asked for
    return Frame(
        numbers=np.array([_number(site) for site in sites]),
        positions=np.array(positions, dtype=float).reshape(-1, 3),
        cell=cell,
        pbc=np.array(structure["lattice"].get("pbc", (True, True, True)), dtype=bool),
        results={
            "energy": energies[PER_ATOM] * len(sites)
            if _only_per_atom(frame)
            else energies.get(ENERGIES[0], frame.get("energy")),
            "forces": _array(frame.get("force")),
            "stress": _array(frame.get("stress")),
        },
        fields={"material": material, **energies},
        where=where,
    )


def _only_per_atom(frame: Mapping[str, Any]) -> bool:
    """Return whether a frame's only energy is per atom, which includes corrections in MPtrj."""
    others = (*ENERGIES, "energy")
    return frame.get(PER_ATOM) is not None and not any(key in frame for key in others)


def _number(site: Mapping[str, Any]) -> int:
    species = site["species"]
    if len(species) != 1 or species[0].get("occu", 1) != 1:
        raise ValueError(f"a site is shared by {species}")
    name = species[0]["element"]
    if name not in atomic_numbers:
        raise ValueError(f"{name!r} is no element")
    return atomic_numbers[name]


def _array(value: Any) -> np.ndarray | None:
    return None if value is None else np.array(value, dtype=float)
