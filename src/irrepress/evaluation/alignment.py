"""Alignment of predicted energies with labels from another level of theory.

Total energies from different levels of theory, codes or pseudopotentials differ by a constant per
element, which says nothing about a model: an all-electron energy is hundreds of electronvolts per
atom below one from pseudopotentials. Energy errors are computed after subtracting such constants,
and the size of the constants is always reported.

Constants can also hide real errors: those of a pruned model are often mostly constant. So

- they are fitted to the parent if a model has one, so that energy errors due to pruning remain;
- by default (``auto``) they are only subtracted if they are beyond doubt: the mean absolute
  difference is at least `BEYOND_DOUBT`, the constants remove at least 90 % of it, and there are at
  least three structures per constant.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ase.data import chemical_symbols

from irrepress.core.errors import UserError
from irrepress.core.model import Model
from irrepress.core.structure import Structure
from irrepress.data.energy_fit import EnergyOffsets
from irrepress.data.store import StructureStore
from irrepress.training.energy_shifts import energy_offsets

logger = logging.getLogger(__name__)

Setting = Literal["auto", "always", "never"]

# eV/atom. Errors of working models of materials are about 0.01 to 0.3.
BEYOND_DOUBT = 1.0
# Maximum fraction of the difference that remains after subtracting constants beyond doubt.
_LEAST_LEFT = 0.1
_STRUCTURES_PER_CONSTANT = 3
# Constants that would remove most of a difference of at least this size are mentioned.
_WORTH_A_WORD = 0.05  # eV/atom
_MOSTLY = 1 / 3
# Maximum numbers of structures used to check for constants, and to fit them to known energies.
_FEW, _MANY = 32, 4096


@dataclass(frozen=True)
class Alignment:
    """Constants per element that align predicted energies with labels.

    Attributes:
        applied: whether the constants are added to the predictions before computing errors.
        constants: atomic number -> eV, labels minus predictions.
        structures: number of structures in the fit.
        fitted_to: the model and the structures of the fit, in words.
        before: mean absolute energy difference for these structures in eV/atom.
        after: the same with the constants.
        told: a sentence on what was done, the size of the change, and the reason.
        worth_telling: whether the energies were aligned, or look as if they should be.

    Example:
        >>> offsets = EnergyOffsets()
        >>> for count in (1, 2, 3, 4):
        ...     offsets.add(np.full(count, 14), -5.0 * count)
        >>> alignment = align(offsets, "auto", "this model, train split")
        >>> alignment.applied, round(alignment.constants[14], 6)
        (True, -5.0)
    """

    applied: bool
    constants: dict[int, float]
    structures: int
    fitted_to: str
    before: float
    after: float
    told: str
    worth_telling: bool

    def record(self) -> dict[str, Any]:
        """Return plain data with element symbols as keys, as stored in metrics.json."""
        return {
            "applied": self.applied,
            "constants": {chemical_symbols[z]: energy for z, energy in self.constants.items()},
            "structures": self.structures,
            "fitted_to": self.fitted_to,
            "before": self.before,
            "after": self.after,
            "told": self.told,
        }


def align(offsets: EnergyOffsets, setting: Setting, fitted_to: str) -> Alignment | None:
    """Fit constants per element and decide whether to apply them.

    Args:
        offsets: energy differences, labels minus predictions.
        setting: ``always``, ``never``, or ``auto``: only if they are beyond doubt.
        fitted_to: the model and the structures of the fit, such as ``the parent, train split``.

    Returns:
        The alignment; None if there are no energies to compare.

    Raises:
        UserError: if the setting is ``always`` and there are too few structures for a fit.
    """
    if not len(offsets):
        return None
    constants, rank = offsets.fit(), offsets.rank()
    before, after = offsets.mean_absolute(), offsets.mean_absolute(constants)
    enough = len(offsets) >= _STRUCTURES_PER_CONSTANT * rank
    change = f"from {_milli(before)} to {_milli(after)} meV/atom"
    number = f"{rank} constant{'s' * (rank != 1)}"
    count = f"{len(offsets):,} structure{'s' * (len(offsets) != 1)} ({fitted_to})"
    fit = f"{number} for the elements, fitted to {count},"
    if setting == "always" and len(offsets) <= rank:
        raise UserError(
            f"energies cannot be aligned: {count} are too few to distinguish {number} for the "
            "elements from errors; use more structures, or do not align"
        )
    far = before >= BEYOND_DOUBT and after <= _LEAST_LEFT * before
    applied = setting == "always" or (setting == "auto" and far and enough)
    if applied:
        told = f"energies aligned: {fit} change their mean absolute difference {change}"
        if setting == "auto":
            told += "; the labels are from another level of theory or have other reference energies"
    elif before >= BEYOND_DOUBT and not enough and setting == "auto":
        told = (
            f"energies not aligned: they differ by {_milli(before)} meV/atom, and {count} are too "
            f"few to distinguish {number} for the elements from errors; the labels may be from "
            "another level of theory"
        )
    elif before >= _WORTH_A_WORD and after <= _MOSTLY * before:
        told = (
            f"energies not aligned: {fit} would change their mean absolute difference {change}; if "
            "the labels are from another level of theory, set the alignment to always"
        )
    else:
        told = ""
    return Alignment(
        applied,
        constants,
        len(offsets),
        fitted_to,
        before,
        after,
        told or "energies not aligned",
        worth_telling=bool(told),
    )


def offsets_between(predicted: Iterable[Structure], labelled: Iterable[Structure]) -> EnergyOffsets:
    """Return the energy differences of the same structures, where both have an energy."""
    offsets = EnergyOffsets()
    for first, second in zip(predicted, labelled, strict=True):
        if np.isfinite(first.energy) and np.isfinite(second.energy):
            offsets.add(second.numbers, second.energy - first.energy)
    return offsets


def spread(indices: np.ndarray, most: int) -> np.ndarray:
    """Return at most ``most`` of the indices, evenly spaced."""
    return indices[:: max(1, -(-len(indices) // most))]


def shifts_beyond_doubt(model: Model, store: StructureStore) -> dict[int, float]:
    """Return constants per element by which a model's energies differ from labels beyond doubt.

    Training would take thousands of steps to learn them. A few structures are checked first; the
    entire train split is only used if they differ.

    Args:
        model: the model; it is not changed.
        store: the structures to train on.

    Returns:
        Atomic number -> shift in eV, as for `Model.shift_energies`; empty if there are none.

    Raises:
        UserError: if the train split is empty or a predicted energy is not finite.
    """
    train = store.require("train")
    offsets = energy_offsets(model, store, spread(train, _FEW))
    if not len(offsets) or offsets.mean_absolute() < BEYOND_DOUBT:
        return {}
    offsets = energy_offsets(model, store, train)
    found = align(offsets, "auto", "this model, train split")
    if found is None:
        return {}
    logger.warning("%s", found.told)
    return found.constants if found.applied else {}


def require_one_level(store: StructureStore, teacher: StructureStore) -> None:
    """Check that labels and a parent's predictions are from the same level of theory.

    Args:
        store: structures with labels.
        teacher: the same structures labelled by the parent.

    Raises:
        UserError: if their energies differ by constants per element beyond doubt.
    """
    indices = np.concatenate([store.splits[part] for part in ("train", "valid")])
    indices = spread(np.sort(indices), _MANY)
    offsets = offsets_between(teacher.iterate(indices), store.iterate(indices))
    found = align(offsets, "auto", "the parent, train and valid splits")
    if found is not None and found.applied:
        raise UserError(
            f"distillation.label_fraction: the energies of {store.path} and those of the parent "
            f"contradict each other ({found.told}); set it to 0 or 1"
        )


def _milli(value: float) -> str:
    """Format a thousand times a value with three significant digits."""
    value = 1e3 * value
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
