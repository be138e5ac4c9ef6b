"""Importance scores of irreps blocks as data, and the file that holds them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from irrepress.errors import UserError, nearest
from irrepress.files import atomic_path
from irrepress.pruning.blocks import Group

SCHEMA_VERSION = 2


@dataclass(frozen=True)
class Scores:
    """Scores of all blocks by several criteria.

    Attributes:
        groups: the groups of the model that was scored.
        values: criterion -> group name -> scores, ``[channels]`` float64; higher is more
            important.
        provenance: parent, data, seed and versions.
    """

    groups: Sequence[Group]
    values: dict[str, dict[str, np.ndarray]]
    provenance: dict[str, Any] = field(default_factory=dict)

    def of(self, criterion: str) -> dict[str, np.ndarray]:
        """Return the scores of one criterion.

        Raises:
            UserError: the criterion is not there.
        """
        if criterion not in self.values:
            raise UserError(
                f"scores: no criterion {criterion!r}; {nearest(criterion, self.values)}"
            )
        return self.values[criterion]

    def save(self, path: str | Path) -> None:
        """Write the scores as HDF5, atomically: ``/{criterion}/{group}``, ``/groups``."""
        with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
            file.attrs["schema_version"] = SCHEMA_VERSION
            for key, value in self.provenance.items():
                file.attrs[key] = value
            for criterion, groups in self.values.items():
                for name, scores in groups.items():
                    file[f"{criterion}/{name}"] = scores
            columns = {key: [getattr(g, key) for g in self.groups] for key in _COLUMNS}
            table = file.create_group("groups")
            for key, column in columns.items():
                table[key] = np.array(column, dtype=_COLUMNS[key])

    @classmethod
    def load(cls, path: str | Path) -> "Scores":
        """Read scores.

        Raises:
            UserError: not a file of scores, or of another schema version.
        """
        try:
            with h5py.File(path, "r") as file:
                if file.attrs.get("schema_version") != SCHEMA_VERSION or "groups" not in file:
                    raise UserError(f"{path}: not a file of scores of this version; score anew")
                columns = {
                    key: file["groups"][key].asstr()[:] if kind is _TEXT else file["groups"][key][:]
                    for key, kind in _COLUMNS.items()
                }
                groups = [
                    Group(**{key: _COLUMN_TYPE[key](columns[key][i]) for key in _COLUMNS})
                    for i in range(len(columns["name"]))
                ]
                values = {
                    criterion: {name: data[:] for name, data in file[criterion].items()}
                    for criterion in file
                    if criterion != "groups"
                }
                provenance = {
                    k: v.item() if isinstance(v, np.generic) else v
                    for k, v in file.attrs.items()
                    if k != "schema_version"
                }
        except (OSError, KeyError) as error:
            raise UserError(f"{path}: not a readable file of scores ({error})") from error
        return cls(groups=groups, values=values, provenance=provenance)


_TEXT = h5py.string_dtype()
_COLUMNS = {
    "name": _TEXT,
    "layer": "i8",
    "irrep": _TEXT,
    "channels": "i8",
    "width": _TEXT,
    "axis": _TEXT,
    "floor": "i8",
    "follows": _TEXT,
    "components": "i8",
}
_COLUMN_TYPE = {key: str if kind is _TEXT else int for key, kind in _COLUMNS.items()}
