"""The records a study leaves behind, checked: metrics, cards and plans."""

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from irrepress.errors import UserError
from irrepress.files import read_json

RecordType = TypeVar("RecordType", bound=BaseModel)


class _Record(BaseModel):
    # Further keys are welcome: later versions may record more than the report shows.
    model_config = ConfigDict(extra="ignore", frozen=True)


class Errors(_Record):
    """Errors against one reference; None where there was nothing to compare.

    Energies are in eV/atom, forces in eV/Å, stress in eV/Å^3.
    """

    energy_mae: float | None
    energy_rmse: float | None
    forces_mae: float | None
    forces_rmse: float | None
    stress_mae: float | None = None
    stress_rmse: float | None = None


class ErrorSets(_Record):
    """Errors against the labels of the dataset and against the uncompressed parent."""

    labels: Errors | None = None
    parent: Errors | None = None


class Cost(_Record):
    """Size and time of a model; sizes in bytes, times in seconds per E+F+S call."""

    parameters: int
    flops_per_atom: float
    file_bytes: int
    packed_bytes: int | None = None
    kept_blocks: int
    total_blocks: int
    timing_atoms: int
    seconds: float
    parent_seconds: float
    time_ratio: float
    device: str
    threads: int


class Checks(_Record):
    """Relative deviations from symmetry and of forces from finite differences, in float64."""

    rotation: float | None
    inversion: float | None = None
    translation: float | None
    permutation: float | None
    finite_difference: float | None


class TaskMetrics(_Record):
    """What was measured on one split of one dataset."""

    schema_version: Literal[1]
    dataset: str
    split: str
    labels: str
    structures: int
    errors: ErrorSets


class Metrics(TaskMetrics):
    """What was measured on one stage of a model: errors, cost and checks."""

    atoms: int
    cost: Cost
    checks: Checks


class Card(_Record):
    """The card beside a model: what it is and how it came about."""

    schema_version: Literal[1]
    name: str
    family: str
    checkpoint: str
    parent_sha256: str
    sha256: str
    licence: str | None = None
    shape: dict[str, Any]
    parameters: int
    stages: list[dict[str, Any]]
    versions: dict[str, str]
    seed: int | None = None
    created: str


class PlanGroup(_Record):
    """Channels of one group: how many there were and the ranges that stay."""

    channels: int
    keep: str

    def kept(self) -> int:
        """Number of channels that stay."""
        total = 0
        for part in filter(None, (p.strip() for p in self.keep.split(","))):
            first, _, last = part.partition("-")
            total += int(last or first) - int(first) + 1
        return total


class PlanRecord(_Record):
    """A plan as the report needs it, with its summary for readers."""

    schema_version: Literal[1]
    summary: dict[str, Any] = {}
    groups: dict[str, PlanGroup]


def read_record(path: Path, kind: type[RecordType]) -> RecordType:
    """Read a JSON file as a record.

    Raises:
        UserError: the file is missing, is not JSON, or lacks a key; the message names the file
            and the key.
    """
    content = read_json(path)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(
            f"{path}: {key}: {first['msg'].lower()}; delete the file and run the workflow again"
        ) from None
