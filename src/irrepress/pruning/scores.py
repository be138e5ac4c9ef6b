"""Importance scores of irreps blocks, and the file format for them."""

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
# Fields of groups that files of version 2 lack. (Version 1 is not read: its scores may have been
# normalized, which the file does not record.)
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
            UserError: if there are no scores for this criterion.
        """
        if criterion not in self.values:
            raise UserError(
                f"scores: no criterion {criterion!r}; {nearest(criterion, self.values)}"
            )
        return self.values[criterion]

    def check(self, source: str = "scores") -> None:
        """Check that every criterion has a finite score for every block.

        Args:
            source: name of the scores in messages, such as their path.

        Raises:
            UserError: if a group is missing or unknown, the number of its scores differs from that
                of its channels, or scores are NaN or infinite.
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
            UserError: if scores are missing or not finite; see `check`.
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
        """Read scores from HDF5, of this schema version or of version 2.

        Raises:
            UserError: if the file does not hold scores, is damaged, has another schema version, or
                has version 2 and lacks required properties of the groups; or if scores are missing
                or not finite.
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
                f"{path}: the checksum of the scores differs, so the file is damaged; delete it "
                "and score again"
            )
        if version == 2 and not all(map(_is_plain, scores.groups)):
            raise UserError(
                f"{path}: its schema version is 2, which does not record which numbers of channels "
                "the groups of this model can have; delete it and score again"
            )
        scores.check(str(path))
        return scores

    def _digest(self) -> str:
        """Return the SHA-256 of all content, which detects damaged bytes."""
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

    With older versions or variable-length strings, a damaged file can make HDF5 loop forever.
    """
    return h5py.File(path, "w", libver=("v110", "v110"))


def _plain(value: Any) -> Any:
    """Return an attribute as a plain number or string."""
    value = value.item() if isinstance(value, np.generic) else value
    return value.decode() if isinstance(value, bytes) else value


def _is_plain(group: Group) -> bool:
    """Return whether a group can have any number of channels, independently of other groups.

    This holds if blocks have one irrep each and hidden networks keep their widths.
    """
    return group.axis in ("channel", "order") and len(group.irreps) == 1


def _read_groups(table: h5py.Group, absent: Collection[str] = ()) -> list[Group]:
    """Read the groups; absent columns take their defaults."""
    columns = {}
    for column in fields(Group):
        if column.name in absent:
            continue
        data = table[column.name]
        columns[column.name] = data[:].tolist() if column.type is int else data.asstr()[:].tolist()
    return [
        Group(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)
    ]
