"""The time of one call as a function of widths, fitted to a table of timed shapes.

Counted operations are a bad guide to time: memory, calls of kernels and the orders that meet
weigh more, differently on every machine. So shapes of the model are timed on the machine itself,
and the family's terms (`Model.cost_terms`) are weighed to reproduce them.
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
# The constant term of every call, whatever the widths.
CALL = "call"
# Budgets are fractions of the unpruned model's time, so the fit must reproduce that time best.
_UNPRUNED_WEIGHT = 3.0
# Shrinks weights of terms that the shapes hardly tell apart, so that they share what they explain
# and none seems to cost nothing.
_RIDGE = 1e-4


@dataclass(frozen=True)
class TimedShape:
    """A shape of a model and its time.

    Attributes:
        widths: width key -> channels, of all keys.
        parameters: number of parameters.
        flops: floating-point operations per atom.
        seconds: seconds of one call for energy, forces and stress.
    """

    widths: Mapping[str, int]
    parameters: int
    flops: float
    seconds: float


@dataclass(frozen=True)
class TimeModel:
    """Seconds of one call: a sum of terms, each times a constant of the machine.

    Attributes:
        terms: the family's, from widths to terms.
        seconds: name of a term -> seconds for a unit of it, none negative.

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
        """Fit to timed shapes, the unpruned model first; relative errors count.

        No weight is negative, so that a narrower model is never taken to be slower.
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
        """Return the time model of models that have a fraction of the neighbours.

        Args:
            fraction: fraction of the neighbours that the timed shapes had.
            fixed: terms that do not grow with the number of neighbours.
        """
        seconds = {
            name: value if name in fixed or name == CALL else fraction * value
            for name, value in self.seconds.items()
        }
        return TimeModel(self.terms, seconds)

    def __call__(self, widths: Mapping[str, int]) -> float:
        """Return the seconds of one call of a model of some widths."""
        values = self.terms(widths)
        return self.seconds[CALL] + sum(
            self.seconds[name] * value for name, value in values.items()
        )


def leave_one_out(terms: CostTerms, shapes: Sequence[TimedShape]) -> np.ndarray:
    """Return the relative error of every shape but the first, predicted from all others."""
    errors = []
    for i, shape in enumerate(shapes[1:], start=1):
        others = [other for j, other in enumerate(shapes) if j != i]
        errors.append(TimeModel.fit(terms, others)(shape.widths) / shape.seconds - 1)
    return np.array(errors)


@dataclass(frozen=True)
class TimeTable:
    """Timed shapes of a model on a machine.

    Attributes:
        shapes: the shapes, the unpruned model first.
        provenance: size of the crystal, device, threads, seed, versions.
    """

    shapes: Sequence[TimedShape]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def save(self, path: str | Path, terms: CostTerms) -> float:
        """Write the table as JSON, with the fit and its errors for readers.

        Returns:
            The mean absolute relative error of a shape that is predicted from all others.
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
            UserError: not a table of timed shapes, of another schema version, or with costs that
                nothing can be divided by.
        """
        content = read_json(path)
        if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
            raise UserError(f"{path}: not a table of timed shapes of this version; time again")
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
                        f"{path}: shapes.{number}.{key} must be a number above zero, it is "
                        f"{value!r}; delete the file and run the workflow again"
                    )
        return cls(shapes=shapes, provenance=content.get("provenance", {}))
