"""Importance scores of irreps blocks as data, and the file that holds them."""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from irrepress.core.errors import UserError, first_line, nearest
from irrepress.core.files import atomic_path
from irrepress.core.groups import Group

SCHEMA_VERSION = 3
# Fields of groups that files of version 2 lack. (Those of version 1 may hold scores that were
# normalized already, and do not say so.)
_SINCE_VERSION_3 = ("multiple", "sized_like")
# Attributes of the file that are not provenance.
_VERSION, _DIGEST = "schema_version", "content_sha256"


@dataclass(frozen=True)
class Scores:
    """Scores of all blocks by several criteria.

    Attributes:
        groups: the groups of the model that was scored.
        values: criterion -> group name -> scores, ``[channels]`` float64; higher is more
            important.
        provenance: parent, data, seed and versions.

    Example:
        >>> group = Group("features.0.0e", 0, "0e", 2, "features.0.0e")
        >>> scores = Scores([group], {"random": {group.name: np.array([0.1, 0.7])}}, {})
        >>> scores.check()
        >>> int(scores.of("random")[group.name].argmax())
        1
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

    def check(self, source: str = "scores") -> None:
        """Check that every criterion has a finite score for every block.

        Args:
            source: what messages call the scores, such as their path.

        Raises:
            UserError: a group is missing or unknown, has another number of scores than channels,
                or has scores that are NaN or infinite.
        """
        channels = {group.name: group.channels for group in self.groups}
        for criterion, values in self.values.items():
            if astray := sorted(channels.keys() ^ values.keys()):
                raise UserError(
                    f"{source}: {criterion} and the table of groups disagree on group "
                    f"{astray[0]!r}; score again"
                )
            for name, scores in values.items():
                if scores.shape != (channels[name],):
                    raise UserError(
                        f"{source}: {criterion} has scores of shape {scores.shape} for the "
                        f"{channels[name]} channels of group {name!r}; score again"
                    )
                wrong = int((~np.isfinite(scores)).sum())
                if wrong:
                    raise UserError(
                        f"{source}: {criterion} scores of group {name!r} are NaN or infinite for "
                        f"{wrong} of {channels[name]} channels, so they rank nothing; check the "
                        "model (irrepress evaluate) and the labels of scoring.dataset (irrepress "
                        "summarize), then score again"
                    )

    def save(self, path: str | Path) -> None:
        """Write the scores as HDF5, atomically: ``/{criterion}/{group}``, ``/groups``.

        Raises:
            UserError: scores that are missing or not finite; see `check`.
        """
        self.check(str(path))
        with atomic_path(path) as temporary, _open_for_writing(temporary) as file:
            file.attrs[_VERSION] = SCHEMA_VERSION
            file.attrs[_DIGEST] = np.bytes_(self._digest())
            for key, value in self.provenance.items():
                file.attrs[key] = np.bytes_(value.encode()) if isinstance(value, str) else value
            for criterion, groups in self.values.items():
                for name, scores in groups.items():
                    file[f"{criterion}/{name}"] = np.asarray(scores, dtype=np.float64)
            table = file.create_group("groups")
            for column in fields(Group):
                values = [getattr(group, column.name) for group in self.groups]
                if column.type is int:
                    table[column.name] = np.array(values, dtype=np.int64)
                else:
                    encoded = np.array([value.encode() for value in values], dtype=np.bytes_)
                    kind = h5py.string_dtype("utf-8", max(1, encoded.itemsize))
                    table[column.name] = encoded.astype(kind)

    @classmethod
    def load(cls, path: str | Path) -> "Scores":
        """Read scores, of this version or of version 2.

        Raises:
            UserError: not a file of scores, of another schema version, of version 2 and without
                what is to be known of the groups, damaged, or with scores that are missing or not
                finite.
        """
        try:
            with h5py.File(path, "r") as file:
                version = file.attrs.get(_VERSION)
                if version not in (2, SCHEMA_VERSION) or "groups" not in file:
                    raise UserError(
                        f"{path}: not a file of scores of this version of irrepress (its schema "
                        f"version is {version}, expected {SCHEMA_VERSION}); delete it and score "
                        "again"
                    )
                absent = _SINCE_VERSION_3 if version == 2 else ()
                scores = cls(
                    groups=_read_groups(file["groups"], absent),
                    values={
                        criterion: {name: data[:] for name, data in file[criterion].items()}
                        for criterion in file
                        if criterion != "groups"
                    },
                    provenance={
                        key: _plain(value)
                        for key, value in file.attrs.items()
                        if key not in (_VERSION, _DIGEST)
                    },
                )
                damaged = version > 2 and _plain(file.attrs[_DIGEST]) != scores._digest()
        except UserError:
            raise
        # The exception that HDF5 raises depends on where a file is damaged.
        except Exception as error:
            raise UserError(
                f"{path}: not a readable file of scores ({first_line(error)}); delete it and "
                "score again"
            ) from error
        if damaged:
            raise UserError(
                f"{path}: the scores are not those that were written (their checksum differs), so "
                "the file is damaged; delete it and score again"
            )
        if version == 2 and not all(map(_is_plain, scores.groups)):
            raise UserError(
                f"{path}: its schema version is 2, which does not say what numbers of channels the "
                "groups of this model can have; delete it and score again"
            )
        scores.check(str(path))
        return scores

    def _digest(self) -> str:
        """Return the SHA-256 of all content, so that damaged bytes are noticed."""
        digest = hashlib.sha256()
        table = [asdict(group) for group in self.groups]
        digest.update(json.dumps([table, self.provenance], sort_keys=True, default=str).encode())
        for criterion, groups in sorted(self.values.items()):
            for name, scores in sorted(groups.items()):
                digest.update(f"{criterion}/{name}".encode())
                digest.update(np.asarray(scores, dtype="<f8").tobytes())
        return digest.hexdigest()


def _open_for_writing(path: Path) -> h5py.File:
    """Create a file whose structure has checksums, as in newer versions of HDF5.

    In older versions, and with texts of variable length, a damaged file can make HDF5 loop forever.
    """
    return h5py.File(path, "w", libver=("v110", "v110"))


def _plain(value: Any) -> Any:
    """Return an attribute as a plain number or text."""
    value = value.item() if isinstance(value, np.generic) else value
    return value.decode() if isinstance(value, bytes) else value


def _is_plain(group: Group) -> bool:
    """Tell whether a group can have any number of channels, whatever other groups have.

    So it is where blocks hold one irrep each and all hidden networks keep their widths.
    """
    return group.axis in ("channel", "order") and len(group.irreps) == 1


def _read_groups(table: h5py.Group, absent: Collection[str] = ()) -> list[Group]:
    """Read the groups; of columns that are absent, they have the default."""
    columns = {}
    for column in fields(Group):
        if column.name in absent:
            continue
        data = table[column.name]
        columns[column.name] = data[:].tolist() if column.type is int else data.asstr()[:].tolist()
    return [
        Group(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)
    ]
