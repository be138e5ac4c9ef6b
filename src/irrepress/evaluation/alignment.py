"""Constants per element between predicted energies and labels of another level of theory.

Total energies of two levels of theory, of two codes, or with other pseudopotentials differ by a
constant for each element, which says nothing about a model: an all-electron energy lies hundreds
of electronvolts per atom below one with pseudopotentials. Errors of energies are compared after
such constants were subtracted, and their size is always reported.

Constants can hide real errors, too: those of a pruned model are often mostly constant. So

- they are fitted to the parent where a model has one, and what pruning did to energies stays;
- by default (``auto``) they are subtracted only if they are beyond doubt: the mean absolute
  difference is at least `BEYOND_DOUBT` and ten times what remains without the constants, and
  there are at least three structures for each constant.
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

# eV/atom. Models of materials that are not broken have errors of some 0.01 to 0.3.
BEYOND_DOUBT = 1.0
# Share of the difference that may remain after constants that are beyond doubt.
_LEAST_LEFT = 0.1
_STRUCTURES_PER_CONSTANT = 3
# Constants that would explain most of a difference of at least this size are mentioned.
_WORTH_A_WORD = 0.05  # eV/atom
_MOSTLY = 1 / 3
# The largest numbers of structures used to see whether there may be constants, and to fit them if
# nothing has to be predicted.
_FEW, _MANY = 32, 4096


@dataclass(frozen=True)
class Alignment:
    """Constants per element that bring predicted energies to the level of labels.

    Attributes:
        applied: whether errors are those after the constants were added to the predictions.
        constants: atomic number -> eV, labels minus predictions.
        structures: number of structures that they were fitted to.
        fitted_to: what was compared on which structures, in words.
        before: mean absolute difference of the energies of these structures in eV/atom.
        after: the mean absolute difference that remains with the constants.
        told: what was done, by how much, and why, in one sentence.
        worth_telling: whether the energies were aligned, or look as if they should be.
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
        """Return it as plain data with symbols of elements, as metrics.json keeps it."""
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
    """Fit constants to energies and decide whether they are subtracted.

    Args:
        offsets: differences of energies, labels minus predictions.
        setting: ``always``, ``never``, or ``auto``: if they are beyond doubt.
        fitted_to: what was compared on which structures, for the reader, such as
            ``the parent on the train part``.

    Returns:
        None if there are no energies to compare.

    Raises:
        UserError: the setting is ``always``, and there are no more structures than constants.
    """
    if not len(offsets):
        return None
    constants, rank = offsets.fit(), offsets.rank()
    before, after = offsets.mean_absolute(), offsets.mean_absolute(constants)
    enough = len(offsets) >= _STRUCTURES_PER_CONSTANT * rank
    change = f"from {_milli(before)} to {_milli(after)} meV/atom"
    number = f"{rank} constant{'s' * (rank != 1)}"
    count = f"{len(offsets):,} structure{'s' * (len(offsets) != 1)} ({fitted_to})"
    fit = f"{number} of the elements, fitted to {count},"
    if setting == "always" and len(offsets) <= rank:
        raise UserError(
            f"energies cannot be aligned: {count} cannot tell {number} of the elements from "
            "errors; give more structures, or do not align"
        )
    far = before >= BEYOND_DOUBT and after <= _LEAST_LEFT * before
    applied = setting == "always" or (setting == "auto" and far and enough)
    if applied:
        told = f"energies aligned: {fit} take their mean absolute difference {change}"
        if setting == "auto":
            told += "; labels of another level of theory or with other reference energies"
    elif before >= BEYOND_DOUBT and not enough and setting == "auto":
        told = (
            f"energies not aligned: they differ by {_milli(before)} meV/atom, and "
            f"{count} are too few to tell {number} of the elements from errors; labels of another "
            "level of theory?"
        )
    elif before >= _WORTH_A_WORD and after <= _MOSTLY * before:
        told = (
            f"energies not aligned: {fit} would take their mean absolute difference {change}; "
            "if the labels are of another level of theory, align them always"
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
    """Return the differences of energies of the same structures, those with both energies."""
    offsets = EnergyOffsets()
    for first, second in zip(predicted, labelled, strict=True):
        if np.isfinite(first.energy) and np.isfinite(second.energy):
            offsets.add(second.numbers, second.energy - first.energy)
    return offsets


def spread(indices: np.ndarray, most: int) -> np.ndarray:
    """Return at most ``most`` of the indices, evenly spread over all of them."""
    return indices[:: max(1, -(-len(indices) // most))]


def shifts_beyond_doubt(model: Model, store: StructureStore) -> dict[int, float]:
    """Return constants per element by which labels differ beyond doubt from a model's energies.

    Training would take thousands of steps to learn them. A few structures show whether there may
    be any; only then the whole train part is used.

    Args:
        model: the model; it is not changed.
        store: the structures that it is to be trained on.

    Returns:
        Atomic number -> eV, as `Model.shift_energies` takes it; empty without such constants.

    Raises:
        UserError: the train part is empty, or a predicted energy is not finite.
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
    """Refuse to mix labels and a parent's predictions that contradict each other.

    Args:
        store: structures with labels.
        teacher: the same structures labelled by the parent.

    Raises:
        UserError: beyond doubt their energies differ by constants per element.
    """
    indices = np.concatenate([store.splits[part] for part in ("train", "valid")])
    indices = spread(np.sort(indices), _MANY)
    offsets = offsets_between(teacher.iterate(indices), store.iterate(indices))
    found = align(offsets, "auto", "the parent, train and valid splits")
    if found is not None and found.applied:
        raise UserError(
            f"distillation.label_fraction: the labels of {store.path} and those of the parent "
            f"contradict each other in their energies ({found.told}); set it to 0 or 1"
        )


def _milli(value: float) -> str:
    """Return a thousand times a value as text with three significant digits."""
    value = 1e3 * value
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
