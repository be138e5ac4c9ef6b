"""Records of measurements on one model, stored in ``metrics.json``.

Nothing here needs PyTorch: the report reads these records in an environment without it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from irrepress.core.errors import UserError
from irrepress.core.label_counts import LabelCounts
from irrepress.core.records import Record, RecordFile, Upgrade
from irrepress.evaluation.checks import Checks

# Values that ratios are computed from.
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(gt=0)]


class Errors(Record):
    """Errors against one reference; None if there was nothing to compare.

    Energies are in eV/atom, forces in eV/Å, stress in eV/Å^3.

    Example:
        >>> errors = Errors(energy_mae=0.01, energy_rmse=0.02, forces_mae=0.1, forces_rmse=0.2)
        >>> errors.forces_mae, errors.stress_mae
        (0.1, None)
    """

    energy_mae: float | None
    energy_rmse: float | None
    forces_mae: float | None
    forces_rmse: float | None
    stress_mae: float | None = None
    stress_rmse: float | None = None


class ErrorSets(Record):
    """Errors against the labels of the dataset and against the unpruned parent.

    Example:
        >>> errors = Errors(energy_mae=0.01, energy_rmse=0.02, forces_mae=0.1, forces_rmse=0.2)
        >>> ErrorSets(labels=errors).parent is None
        True
    """

    labels: Errors | None = None
    parent: Errors | None = None


class RuntimeCost(Record):
    """Time of a model in a runtime of deployments beside its parent's there, in seconds per call.

    Attributes:
        runtime: name of the runtime.
        code: the code that ran: packages with their versions.
        seconds: median time of a call for energy, forces and stress, with the search for
            neighbours.
        parent_seconds: the same of the parent.
        time_ratio: median over rounds of their ratio.
        time_ratio_spread: interquartile range of the ratio divided by its median.
        busy: reason why times are unreliable; None if there is none.

    Example:
        >>> cost = RuntimeCost(
        ...     runtime="symmetrix", code="symmetrix-xl 0.1.1", seconds=0.02, parent_seconds=0.05,
        ...     time_ratio=0.4, time_ratio_spread=0.01, busy=None,
        ... )
        >>> f"{1 / cost.time_ratio:.1f} times as fast in {cost.runtime}"
        '2.5 times as fast in symmetrix'
    """

    runtime: str
    code: str
    seconds: _Positive
    parent_seconds: _Positive
    time_ratio: _Positive
    time_ratio_spread: float
    busy: str | None


class MeasuredCost(Record):
    """Size and time of a model; sizes in bytes, times in seconds per call (energy, forces, stress).

    Spreads are relative: the interquartile range divided by the median over rounds. ``code`` is the
    code that was timed; ``busy`` gives the reason if times are unreliable, otherwise None.
    ``deployed`` holds the times in the runtime that budgets are measured in; None if that is the
    family's own code.

    Example:
        >>> cost = MeasuredCost(
        ...     parameters=1000, flops_per_atom=1e6, file_bytes=4000, kept_blocks=10,
        ...     total_blocks=20, timing_atoms=64, timing_rounds=5, code="sevenn 0.13.0",
        ...     seconds=0.1, seconds_spread=0.01, parent_seconds=0.3, parent_seconds_spread=0.01,
        ...     time_ratio=0.33, time_ratio_spread=0.01, busy=None, device="cpu", threads=1,
        ... )
        >>> f"{1 / cost.time_ratio:.1f} times faster"
        '3.0 times faster'
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
    deployed: RuntimeCost | None = Field(None, exclude_if=lambda deployed: deployed is None)


class FailedPredictions(Record):
    """Structures for which a prediction is NaN or infinite.

    If there are any for a quantity, its errors are None.

    Attributes:
        structures: number of such structures.
        quantities: quantity -> number of structures for which it is NaN or infinite.
        first: positions of the first few in the split.

    Example:
        >>> failures = FailedPredictions(structures=1, quantities={"forces": 1}, first=[3])
        >>> "forces" in failures.quantities
        True
    """

    structures: int = 0
    quantities: dict[str, int] = Field(default_factory=dict)
    first: list[int] = Field(default_factory=list)


class AlignedEnergies(Record):
    """Constants per element between labels and predicted energies.

    Attributes:
        applied: whether energy errors are those with the constants.
        constants: symbol of the element -> constant in eV, labels minus predictions.
        structures: number of structures in the fit.
        fitted_to: the model and the structures of the fit, in words.
        before: mean absolute energy difference for these structures in eV/atom.
        after: the same with the constants.
        told: a sentence on what was done and why.
        knows_labels: whether the model was trained on the labels, so that the constants apply to
            its parent.
        unaligned: energy errors without the constants, in eV/atom.

    Example:
        >>> aligned = AlignedEnergies(applied=True, constants={"Si": -5.0}, told="energies aligned")
        >>> aligned.constants["Si"]
        -5.0
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
    """Upgrade from version 1, which lacks spreads of times and checks of the family's own code."""
    if "cost" in metrics or "checks" in metrics:
        raise UserError(
            "schema_version: is 1, which holds neither checks of the family's own code nor spreads "
            "of times; the model has to be measured again"
        )
    return metrics


class Metrics(RecordFile):
    """Measurements of a model on one split of one dataset: the file ``metrics.json``.

    Cost and checks are None for models that were only trained as a baseline.

    Attributes:
        schema_version: version of the file.
        dataset: name of the dataset.
        split: ``train``, ``valid`` or ``test``.
        labels: origin of the labels, as in stores and cards.
        structures: number of structures.
        atoms: number of atoms.
        units: units of the values in the file, by their keys.
        labelled: number of structures with each label.
        errors: errors against labels and parent.
        failures: predictions that are not finite.
        alignment: constants per element; None if there were no energies to compare.
        cost: size and time.
        checks: deviations from symmetry and from finite differences.
        energy_shifts: atomic number -> shift in eV that was applied to align the model's energies
            with the labels.

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
        """Return the metrics of a stage, which include cost and checks."""
        return StageMetrics(**self.content() | {"cost": cost, "checks": checks})


class StageMetrics(Metrics):
    """Measurements on one stage of a model, always with cost and checks.

    Example:
        >>> StageMetrics.model_fields["cost"].is_required()
        True
    """

    atoms: int
    cost: MeasuredCost
    checks: Checks
