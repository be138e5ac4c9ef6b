"""The records that a study leaves behind, checked: metrics and plans.

Cards are `irrepress.study.cards`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from irrepress.core.records import Record
from irrepress.evaluation.checks import Checks

# Ratios are formed of these.
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(gt=0)]


class Errors(Record):
    """Errors against one reference; None where there was nothing to compare.

    Energies are in eV/atom, forces in eV/Å, stress in eV/Å^3.
    """

    energy_mae: float | None
    energy_rmse: float | None
    forces_mae: float | None
    forces_rmse: float | None
    stress_mae: float | None = None
    stress_rmse: float | None = None


class ErrorSets(Record):
    """Errors against the labels of the dataset and against the uncompressed parent."""

    labels: Errors | None = None
    parent: Errors | None = None


class Cost(Record):
    """Size and time of a model; sizes in bytes, times in seconds per E+F+S call.

    Spreads are relative, the distance of the quartiles over the median of all rounds. ``code`` is
    what was timed; ``busy`` says why times are rough, None if nothing speaks against them.
    """

    parameters: _Count
    flops_per_atom: _Positive
    file_bytes: int
    packed_bytes: int | None = None
    kept_blocks: int
    total_blocks: _Count
    timing_atoms: int
    timing_rounds: int
    code: str
    seconds: _Positive
    seconds_spread: float
    parent_seconds: _Positive
    parent_seconds_spread: float
    time_ratio: _Positive
    time_ratio_spread: float
    busy: str | None
    device: str
    threads: int


class Failures(Record):
    """Structures for which a model predicts what is not a number.

    Errors of a quantity with any are None.
    """

    structures: int = 0
    quantities: dict[str, int] = Field(default_factory=dict)


class AlignedEnergies(Record):
    """Whether constants per element were taken out of errors of energies, told in a sentence.

    ``constants`` are those by symbol, in eV; ``unaligned`` holds the errors without that in
    eV/atom.
    """

    applied: bool
    told: str
    constants: dict[str, float] = Field(default_factory=dict)
    unaligned: dict[str, float | None] = Field(default_factory=dict)


class TaskMetrics(Record):
    """What was measured on one split of one dataset.

    Cost and checks of models that were only trained to compare with are None.
    """

    schema_version: Literal[2]
    dataset: str
    split: str
    labels: str
    structures: int
    errors: ErrorSets
    failures: Failures = Failures()
    alignment: AlignedEnergies | None = None
    cost: Cost | None = None
    checks: Checks | None = None


class Metrics(TaskMetrics):
    """What was measured on one stage of a model, with cost and checks in any case."""

    atoms: int
    cost: Cost
    checks: Checks


class PlanGroup(Record):
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


class PlanRecord(Record):
    """A plan as the report needs it, with its summary for readers."""

    schema_version: Literal[1]
    summary: dict[str, Any] = Field(default_factory=dict)
    groups: dict[str, PlanGroup]
