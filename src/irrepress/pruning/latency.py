"""Prediction of the time of one call from widths, fitted to a table of timed shapes.

Operation counts are a poor guide to time: memory traffic, kernel launches and the orders involved
matter more, differently on every machine. So shapes of the model are timed on the machine itself,
and weights of the family's cost terms (`Model.cost_terms`) are fitted to these times.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from irrepress.core.cost import CostTerms
from irrepress.core.errors import UserError
from irrepress.core.files import read_json, write_json

SCHEMA_VERSION = 1
# The constant term of every call, independent of widths.
CALL = "call"
# Budgets are fractions of the unpruned model's time, so that time must be fitted most accurately.
_UNPRUNED_WEIGHT = 3.0
# A small ridge: terms that the shapes hardly distinguish share the time that they explain, so that
# none of them appears to be free.
_RIDGE = 1e-4


@dataclass(frozen=True)
class TimedShape:
    """A shape of a model and its time.

    Attributes:
        widths: width key -> number of channels, for all keys.
        parameters: number of parameters.
        flops: floating-point operations per atom.
        seconds: time of one call for energy, forces and stress, in seconds.

    Example:
        >>> shape = TimedShape({"features": 64}, parameters=64, flops=128.0, seconds=0.074)
        >>> shape.widths["features"], shape.seconds
        (64, 0.074)
    """

    widths: Mapping[str, int]
    parameters: int
    flops: float
    seconds: float


@dataclass(frozen=True)
class TimeModel:
    """The time of one call in seconds: a sum of cost terms, each times a machine constant.

    Attributes:
        terms: function from widths to the family's cost terms.
        seconds: name of a term -> seconds per unit of it, not negative.

    Example:
        >>> shapes = [
        ...     TimedShape({"features": width}, width, 2.0 * width, 0.01 + 0.001 * width)
        ...     for width in (64, 32, 16)
        ... ]
        >>> model = TimeModel.fit(lambda widths: {"products": float(widths["features"])}, shapes)
        >>> round(model({"features": 48}), 4)
        0.058
    """

    terms: CostTerms
    seconds: Mapping[str, float]

    @classmethod
    def fit(cls, terms: CostTerms, shapes: Sequence[TimedShape]) -> "TimeModel":
        """Fit to timed shapes, minimising relative errors; the unpruned model comes first.

        No weight is negative, so that a narrower model is never predicted to be slower.
        """
        rows = [{CALL: 1.0, **terms(shape.widths)} for shape in shapes]
        names = list(rows[0])
        matrix = np.array([[row[name] for name in names] for row in rows])
        matrix /= np.array([[shape.seconds] for shape in shapes])
        size = np.maximum(np.sqrt(np.mean(matrix**2, axis=0)), 1e-30)
        weights = np.ones(len(shapes))
        weights[0] = _UNPRUNED_WEIGHT
        ridge = np.sqrt(_RIDGE * len(shapes)) * np.eye(len(names))
        found, _ = nnls(
            np.vstack([weights[:, None] * matrix / size, ridge]),
            np.concatenate([weights, np.zeros(len(names))]),
        )
        return cls(terms, dict(zip(names, (found / size).tolist(), strict=True)))

    def with_neighbours(self, fraction: float, fixed: Collection[str]) -> "TimeModel":
        """Return the time model for a different number of neighbours.

        Args:
            fraction: number of neighbours relative to that of the timed shapes.
            fixed: names of terms that do not depend on the number of neighbours.
        """
        seconds = {
            name: value if name in fixed or name == CALL else fraction * value
            for name, value in self.seconds.items()
        }
        return TimeModel(self.terms, seconds)

    def __call__(self, widths: Mapping[str, int]) -> float:
        """Return the time of one call in seconds for given widths."""
        values = self.terms(widths)
        return self.seconds[CALL] + sum(
            self.seconds[name] * value for name, value in values.items()
        )


def leave_one_out(terms: CostTerms, shapes: Sequence[TimedShape]) -> np.ndarray:
    """Return the relative error of every shape but the first, predicted by a fit to the others."""
    errors = []
    for i, shape in enumerate(shapes[1:], start=1):
        others = [other for j, other in enumerate(shapes) if j != i]
        errors.append(TimeModel.fit(terms, others)(shape.widths) / shape.seconds - 1)
    return np.array(errors)


@dataclass(frozen=True)
class TimeTable:
    """Timed shapes of a model on one machine.

    Attributes:
        shapes: the shapes, the unpruned model first.
        provenance: size of the crystal, runtime and its code, device, threads, seed and versions.

    Example:
        >>> import tempfile
        >>> widths = (64, 32, 16)
        >>> shapes = [TimedShape({"features": w}, w, 2.0 * w, 0.01 + 0.001 * w) for w in widths]
        >>> path = Path(tempfile.mkdtemp()) / "shapes.json"
        >>> error = TimeTable(shapes).save(path, lambda widths: {"products": widths["features"]})
        >>> len(TimeTable.load(path).shapes)
        3
    """

    shapes: Sequence[TimedShape]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def timed_in(self) -> dict[str, str | None]:
        """The runtime that the times are of, and the code that ran there, if it was recorded.

        >>> TimeTable([], {"runtime": "symmetrix", "code": "symmetrix-xl 0.1.1"}).timed_in
        {'runtime': 'symmetrix', 'code': 'symmetrix-xl 0.1.1'}
        """
        # Earlier tables, which say nothing of it, are of the family's own code.
        return {"runtime": "native", "code": None} | {
            key: self.provenance[key] for key in ("runtime", "code") if key in self.provenance
        }

    def save(self, path: str | Path, terms: CostTerms) -> float:
        """Write the table as JSON, together with the fit and its errors for readers.

        Returns:
            The mean absolute relative error from leave-one-out fits.
        """
        errors = np.abs(leave_one_out(terms, self.shapes))
        fit = TimeModel.fit(terms, self.shapes)
        whole = {CALL: 1.0, **terms(self.shapes[0].widths)}
        content = {
            "schema_version": SCHEMA_VERSION,
            "provenance": dict(self.provenance),
            "fit": {
                "leave_one_out": {"mean": float(errors.mean()), "largest": float(errors.max())},
                "seconds_of_unpruned": {
                    name: value * whole[name] for name, value in fit.seconds.items()
                },
            },
            "shapes": [asdict(shape) for shape in self.shapes],
        }
        write_json(path, content)
        return float(errors.mean())

    @classmethod
    def load(cls, path: str | Path) -> "TimeTable":
        """Read a table.

        Raises:
            UserError: if the file is not a table of timed shapes, has another schema version, or
                holds a cost that is not positive and finite.
        """
        content = read_json(path)
        if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
            raise UserError(
                f"{path}: not a table of timed shapes of this version of irrepress; delete it and "
                "run the workflow again"
            )
        try:
            shapes = [TimedShape(**shape) for shape in content["shapes"]]
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{path}: every shape needs widths, parameters, flops and seconds ({error!r})"
            ) from error
        for number, shape in enumerate(shapes):
            for key in ("parameters", "flops", "seconds"):
                value = getattr(shape, key)
                if not (isinstance(value, int | float) and 0 < value < math.inf):
                    raise UserError(
                        f"{path}: shapes.{number}.{key} must be a positive number, it is "
                        f"{value!r}; delete the file and run the workflow again"
                    )
        return cls(shapes=shapes, provenance=content.get("provenance", {}))
