"""Constant shifts of the energy per element that bring a narrowed model's energies to its parent's.

What many removed blocks took from the energy adds up, mostly to a constant for each element.
Constants change no force, so nothing is lost by correcting them, and features that cannot be
restored do not have to.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from irrepress.core.family import Family
from irrepress.core.fits import Pair
from irrepress.core.model import Model

# A mean over n atoms of an element counts n / (n + k) beside the mean over all elements.
SHRINKAGES = (0.0, 1.0, 4.0, 16.0, 64.0, 256.0, float("inf"))


@dataclass
class Residuals:
    """Differences of atomic energies, parent minus narrowed, in eV.

    Attributes:
        sums: atomic number -> sum over atoms and number of atoms.
        structures: mean difference and share of each element, one pair a structure.
    """

    sums: dict[int, np.ndarray] = field(default_factory=dict)
    structures: list[tuple[float, dict[int, float]]] = field(default_factory=list)

    def add(self, family: Family, parent: Model, narrowed: Model, pair: Pair) -> None:
        """Add a batch, on the models' device."""
        difference = family.atomic_energies(parent, pair.parent).double()
        difference = difference - family.atomic_energies(narrowed, pair.narrowed).double()
        difference, batch = difference.cpu().numpy(), pair.parent
        numbers, owner = batch.numbers.cpu().numpy(), batch.structure.cpu().numpy()
        for number in np.unique(numbers):
            chosen = difference[numbers == number]
            total = self.sums.setdefault(int(number), np.zeros(2))
            total += (chosen.sum(), len(chosen))
        for index in range(len(batch)):
            own = owner == index
            found, counts = np.unique(numbers[own], return_counts=True)
            shares = {int(z): n / own.sum() for z, n in zip(found, counts, strict=True)}
            self.structures.append((float(difference[own].mean()), shares))

    def shifts(self, elements: Iterable[int], shrinkage: float) -> dict[int, float]:
        """Return a constant per element: its mean, drawn to the mean over all atoms."""
        total, count = sum(self.sums.values())
        mean = total / count
        shifts = dict.fromkeys(elements, float(mean))
        for number, (own, atoms) in self.sums.items():
            trust = 0.0 if np.isinf(shrinkage) else atoms / (atoms + shrinkage)
            shifts[number] = float(mean + trust * (own / atoms - mean))
        return shifts

    def left_over(self, shifts: dict[int, float]) -> float:
        """Return the mean absolute value of what shifts leave over of energies, in eV/atom.

        Not the root mean square: a few structures under high pressure would decide alone.
        """
        rest = [
            mean - sum(share * shifts.get(number, 0.0) for number, share in shares.items())
            for mean, shares in self.structures
        ]
        return float(np.mean(np.abs(rest)))


def fit_shifts(
    family: Family,
    parent: Model,
    narrowed: Model,
    train: Iterable[Pair],
    held_out: Iterable[Pair],
) -> tuple[dict[int, float], float, float]:
    """Find shifts for the narrowed model; neither model is changed.

    Args:
        family: of both models, which are on one device.
        parent: the model that ``narrowed`` was made from.
        narrowed: the model whose energies are off.
        train: batches, on the models' device.
        held_out: other batches, which decide how much the mean of an element is trusted, and
            whether there are shifts at all.

    Returns:
        Atomic number -> eV for every element of the model, or nothing if no shifts help; and the
        mean absolute difference of the energies of held-out structures in eV/atom, before and
        after.
    """
    fitted, test, both = Residuals(), Residuals(), Residuals()
    for batches, sums in ((train, fitted), (held_out, test)):
        for pair in batches:
            sums.add(family, parent, narrowed, pair)
    for part in (fitted, test):
        for number, total in part.sums.items():
            both.sums[number] = both.sums.get(number, np.zeros(2)) + total
    elements = narrowed.elements
    before = test.left_over({})
    errors = {k: test.left_over(fitted.shifts(elements, k)) for k in SHRINKAGES}
    best = min(errors, key=errors.__getitem__)
    if errors[best] >= before:
        return {}, before, before
    return both.shifts(elements, best), before, errors[best]
