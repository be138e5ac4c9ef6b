"""Comparing predictions."""

from collections.abc import Sequence

import numpy as np
import torch

from irrepress.core.model import Model, Prediction
from irrepress.core.structure import Structure
from irrepress.evaluation.predictions import label


def assert_close(
    found: Prediction,
    expected: Prediction,
    relative: float,
    floor: float = 1e-9,
    periodic: Sequence[int] | None = None,
) -> None:
    """Compare predictions, relative to the largest energy, force and stress each.

    Args:
        found: predictions of a batch.
        expected: what they should be.
        relative: how far each may be off, relative to the largest expected value.
        floor: how far each may be off in any case, in eV, eV/Å and eV/Å^3.
        periodic: structures whose stress is compared; None: all.
    """
    rows = slice(None) if periodic is None else list(periodic)
    for name in ("energy", "forces", "stress"):
        a, b = getattr(found, name), getattr(expected, name)
        if name == "stress":
            a, b = a[rows], b[rows]
        tolerance = relative * float(b.abs().max()) + floor
        assert float((a - b).abs().max()) <= tolerance, name


def tensor_of(prediction: Prediction) -> torch.Tensor:
    """All of a prediction in one vector."""
    return torch.cat([prediction.energy, prediction.forces.flatten(), prediction.stress.flatten()])


def voigt_to_matrix(stress: np.ndarray) -> np.ndarray:
    """Return the symmetric matrix of xx, yy, zz, yz, xz, xy."""
    xx, yy, zz, yz, xz, xy = stress
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def labels_of(model: Model, structure: Structure) -> Structure:
    """Return a structure with a model's own predictions as its labels."""
    return next(label(model, [structure], batch_size=1))
