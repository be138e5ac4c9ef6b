"""MPtrj as CHGNet's authors published it: one JSON file of 12 GB, read as a stream.

``{material: {frame: {...}}}``, where a frame holds

- ``structure``: a structure of pymatgen as a dictionary;
- ``uncorrected_total_energy`` in eV, what VASP computed: it belongs to the forces, and it is what
  MACE-MP-0, SevenNet-0 and the extxyz file of Matbench Discovery use. It is the energy here.
  ``corrected_total_energy`` has the corrections of Materials Project 2020 added (CHGNet's choice,
  as ``energy_per_atom``); name it under ``keys.energy`` to get it;
- ``force`` in eV/Å, ``magmom``;
- ``stress``, ``[3, 3]`` in kbar with VASP's sign: times -0.1 it is in GPa with ASE's sign.

Frames of one material are siblings: the material is the group.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import ijson
import numpy as np
from ase.data import atomic_numbers

from irrepress.config import LabelKeys
from irrepress.errors import UserError
from irrepress.structures.formats.base import Reader, Record, gather, nothing_in
from irrepress.structures.formats.labels import Frame
from irrepress.structures.formats.sources import (
    DAMAGE,
    damaged,
    head_of,
    is_archive,
    kind_of,
    open_binary,
    wrong_kind,
)

ENERGIES = ("uncorrected_total_energy", "corrected_total_energy")


class MptrjJsonReader(Reader):
    """Reads MPtrj_2022.9_full.json; a chunk is a list of frames, or of what is wrong with one."""

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
        if not head_of(path).lstrip().startswith(b"{"):
            raise wrong_kind(path, "JSON", None)

    def chunks(self) -> Iterator[list[tuple[str, Frame | UserError]]]:
        """See `Reader.chunks`."""
        return gather(self._frames())

    def parse(self, chunk: list[tuple[str, Frame | UserError]]) -> Iterator[Record | UserError]:
        """See `Reader.parse`."""
        for path, frame in chunk:
            yield frame if isinstance(frame, UserError) else self._record(frame, path)

    def _frames(self) -> Iterator[tuple[int, tuple[str, Frame | UserError]]]:
        for path in self.paths:
            found = False
            for material, frames in _materials(path):
                if not isinstance(frames, dict):
                    raise UserError(
                        f"{path}: {material}: expected its frames by name, found {str(frames)[:40]}"
                        "; this is not the JSON file of MPtrj"
                    )
                for name, frame in frames.items():
                    where = f"{path}: {material}: {name}"
                    found = True
                    item: Frame | UserError
                    try:
                        item = _frame(frame, material, where)
                    except (KeyError, TypeError, ValueError, AttributeError) as error:
                        item = UserError(
                            f"{where} cannot be read ({type(error).__name__}: {error}); this is "
                            "not the JSON file of MPtrj, or it is damaged"
                        )
                    size = 60 * len(item.numbers) if isinstance(item, Frame) else 0
                    yield size, (str(path), item)
            if not found:
                raise nothing_in(path)


def _materials(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the materials with their frames; one material at a time is in memory."""
    last = "its beginning"
    try:
        with open_binary(path) as stream:
            for material, frames in ijson.kvitems(stream, "", use_float=True):
                yield material, frames
                last = material
    except ijson.JSONError as error:
        raise UserError(
            f"{path}: not JSON after {last} ({error}); the file is cut off or damaged, download "
            "it again"
        ) from error
    except DAMAGE as error:
        raise damaged(f"{path}: after {last}", error) from error


def _frame(frame: Mapping[str, Any], material: str, where: str) -> Frame:
    """Take arrays from a frame: they are sent to a worker faster than pymatgen's dictionary."""
    structure = frame["structure"]
    sites = structure["sites"]
    return Frame(
        numbers=np.array([_number(site) for site in sites]),
        positions=np.array([site["xyz"] for site in sites], dtype=float).reshape(-1, 3),
        cell=np.array(structure["lattice"]["matrix"], dtype=float).reshape(3, 3),
        pbc=np.array(structure["lattice"].get("pbc", (True, True, True)), dtype=bool),
        results={
            "energy": frame.get(ENERGIES[0]),
            "forces": _array(frame.get("force")),
            "stress": _array(frame.get("stress")),
        },
        fields={"material": material, **{key: frame[key] for key in ENERGIES if key in frame}},
        where=where,
    )


def _number(site: Mapping[str, Any]) -> int:
    species = site["species"]
    if len(species) != 1 or species[0].get("occu", 1) != 1:
        raise ValueError(f"a site is shared by {species}")
    return atomic_numbers[species[0]["element"]]


def _array(value: Any) -> np.ndarray | None:
    return None if value is None else np.array(value, dtype=float)
