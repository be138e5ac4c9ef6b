"""Values of labels: shapes, equality, and stresses in Voigt order."""

from typing import Any

import numpy as np
from ase.stress import full_3x3_to_voigt_6_stress

from irrepress.core.errors import UserError
from irrepress.data.units import VOIGT

# Energies of a frame that differ by less per atom are considered equal.
_SAME_ENERGY = 1e-6  # in the file's own units


def shaped(value: Any, shape: tuple[int, ...], name: str, where: str) -> np.ndarray:
    """Return a label as float64 of the given shape; NaN is rejected."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError(f"{where}: {name} is {value!r}, not numbers; correct the file") from None
    if array.shape != shape and array.size != int(np.prod(shape)):
        raise UserError(
            f"{where}: {name} has the shape {list(array.shape)}, expected {list(shape)}; check "
            f"keys.{name}"
        )
    if not np.all(np.isfinite(array)):
        raise UserError(
            f"{where}: {name} holds {array[~np.isfinite(array)].flat[0]}; correct or remove the "
            "frame"
        )
    return array.reshape(shape)


def same(one: Any, other: Any, atoms: int = 1, times: int = 1) -> bool:
    """Return whether ``one`` equals ``other * times``, within a tolerance per atom."""
    try:
        one, other = (np.asarray(value, dtype=np.float64).ravel() for value in (one, other))
    except (TypeError, ValueError):
        return True  # no label
    if one.size != other.size:
        return True
    return bool(np.abs(one - other * times).max() <= _SAME_ENERGY * atoms)


def voigt(value: Any, factor: float, order: tuple[str, ...], where: str) -> np.ndarray:
    """Return stress times factor in Voigt order, ``[6]``, from 6 components or a matrix."""
    if np.size(value) == 6:
        given = shaped(value, (6,), "stress", where) * factor
        return given if order == VOIGT else given[[order.index(name) for name in VOIGT]]
    matrix = shaped(value, (3, 3), "stress", where)
    converted = matrix * factor
    # Published stresses are rounded, so differences far below 0.01 eV/Å^3 are accepted.
    asymmetry = np.abs(converted - converted.T).max()
    if asymmetry > 1e-3 * max(np.abs(converted).max(), 1e-2):
        raise UserError(
            f"{where}: the stress {matrix.tolist()} is not symmetric; check keys.stress"
        )
    return full_3x3_to_voigt_6_stress(converted)
