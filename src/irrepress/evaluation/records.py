"""Measurements on one model: the records in ``metrics.json``.

Nothing here needs PyTorch: the report reads these records in an environment without it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from irrepress.core.errors import UserError
from irrepress.core.label_counts import LabelCounts
from irrepress.core.records import Record, RecordFile, Upgrade
from irrepress.evaluation.checks import Checks

# Errors that ratios are formed of.
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


class MeasuredCost(Record):
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


class FailedPredictions(Record):
    """Structures for which a prediction is NaN or infinite.

    Errors of a quantity with any are None.

    Attributes:
        structures: how many there are.
        quantities: quantity -> structures of which it is NaN or infinite.
        first: the first few of them, by their place in the split.
    """

    structures: int = 0
    quantities: dict[str, int] = Field(default_factory=dict)
    first: list[int] = Field(default_factory=list)


class AlignedEnergies(Record):
    """Constants per element between labels and predicted energies.

    Attributes:
        applied: whether errors of energies are those with the constants.
        constants: symbol of the element -> constant in eV, labels minus predictions.
        structures: number of structures that the constants were fitted to.
        fitted_to: what was compared on which structures, in words.
        before: mean absolute difference of the energies of these structures in eV/atom.
        after: the mean absolute difference that remains with the constants.
        told: what was done, and why, in a sentence.
        knows_labels: the model was trained on the labels: the constants are its parent's.
        unaligned: errors of energies as they are, in eV/atom.
    """

    applied: bool
    constants: dict[str, float] = Field(default_factory=dict)
    structures: int = 0
    fitted_to: str = ""
    before: float | None = None
    after: float | None = None
    told: str
    knows_labels: bool = False
    unaligned: dict[str, float | None] = Field(default_factory=dict)


def _second(metrics: dict[str, Any]) -> dict[str, Any]:
    """Upgrade from version 1, whose times had no spread and whose checks were of one code."""
    if "cost" in metrics or "checks" in metrics:
        raise UserError(
            "schema_version: is 1, which holds neither checks of the family's own code nor spreads "
            "of times; the model has to be measured again"
        )
    return metrics


class Metrics(RecordFile):
    """What was measured on one split of one dataset: the file ``metrics.json``.

    Cost and checks of models that were only trained to compare with are None.

    Attributes:
        schema_version: version of the file.
        dataset: name of the dataset.
        split: part of it: ``train``, ``valid`` or ``test``.
        labels: whose labels they are, as stores and cards name them.
        structures: number of structures.
        atoms: number of atoms.
        units: units of the values in the file, by their keys.
        labelled: how many structures have which label.
        errors: against labels and parent.
        failures: predictions that are not finite.
        alignment: constants per element; None where there were no energies to compare.
        cost: size and time.
        checks: deviations from symmetry and from finite differences.
        energy_shifts: atomic number -> eV, what the model's energies were shifted by to the level
            of the labels.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp()) / "metrics.json"
        >>> errors = {"energy_mae": 0.01, "energy_rmse": 0.02, "forces_mae": 0.1,
        ...           "forces_rmse": 0.2}
        >>> Metrics(
        ...     dataset="silicon", split="test", labels="PBE", structures=2, atoms=16,
        ...     errors={"labels": errors},
        ... ).save(path)
        >>> Metrics.load(path).errors.labels.forces_mae
        0.1
    """

    upgrades: ClassVar[Mapping[int, Upgrade]] = {1: _second}

    schema_version: Literal[2] = 2
    dataset: str
    split: str
    labels: str
    structures: int
    atoms: int | None = None
    units: dict[str, Any] = Field(default_factory=dict)
    labelled: LabelCounts | None = None
    errors: ErrorSets
    failures: FailedPredictions = FailedPredictions()
    alignment: AlignedEnergies | None = None
    cost: MeasuredCost | None = None
    checks: Checks | None = None
    energy_shifts: dict[str, float] | None = None

    def with_cost(self, cost: MeasuredCost, checks: Checks) -> "StageMetrics":
        """Return the metrics of a stage: these, with cost and checks."""
        return StageMetrics(**self.content() | {"cost": cost, "checks": checks})


class StageMetrics(Metrics):
    """What was measured on one stage of a model, with cost and checks in any case."""

    atoms: int
    cost: MeasuredCost
    checks: Checks
