"""Energy shifts per element that bring a narrowed model's energies close to its parent's.

The energy contributions of many removed blocks add up, mostly to a constant for each element.
Constants do not change forces, so they can be corrected even where features cannot be restored.
"""

from collections.abc import Iterable
from functools import reduce

import numpy as np

from irrepress.core.fits import Pair
from irrepress.core.model import Model
from irrepress.data.energy_fit import EnergyOffsets

# The mean over n atoms of an element has the weight n / (n + k), the mean over all atoms the rest.
SHRINKAGES = (0.0, 1.0, 4.0, 16.0, 64.0, 256.0, float("inf"))


class AtomicDifferences:
    """Differences between the atomic energies of two models, by element and by structure.

    Attributes:
        sums: atomic number -> ``[2]``: the sum over its atoms in eV, and the number of atoms.
        offsets: the energy differences of the structures.

    Example:
        >>> differences = AtomicDifferences()
        >>> differences.add(model, model, Pair.of(model, model, structures))
        >>> differences.shifts([14], shrinkage=0.0)
        {14: 0.0}
    """

    def __init__(self) -> None:
        self.sums: dict[int, np.ndarray] = {}
        self.offsets = EnergyOffsets()

    def add(self, parent: Model, narrowed: Model, pair: Pair) -> None:
        """Add the differences, parent minus narrowed, for a batch on the models' device."""
        missing = parent.atomic_energies(pair.parent).double()
        missing = missing - narrowed.atomic_energies(pair.narrowed).double()
        differences, batch = missing.cpu().numpy(), pair.parent
        numbers, owner = batch.numbers.cpu().numpy(), batch.structure.cpu().numpy()
        for number in np.unique(numbers):
            chosen = differences[numbers == number]
            self._add_sum(int(number), np.array((chosen.sum(), len(chosen))))
        for index in range(len(batch)):
            own = owner == index
            self.offsets.add(numbers[own], float(differences[own].sum()))

    def add_sums(self, other: "AtomicDifferences") -> None:
        """Add the sums by element from another set of structures."""
        for number, total in other.sums.items():
            self._add_sum(number, total)

    def _add_sum(self, number: int, total: np.ndarray) -> None:
        self.sums[number] = self.sums.get(number, np.zeros(2)) + total

    def shifts(self, elements: Iterable[int], shrinkage: float) -> dict[int, float]:
        """Return a constant per element in eV: its mean, shrunk towards the mean over all atoms.

        Unlike a fit to total energies, means of atomic energies can distinguish elements that
        always occur together.
        """
        total, count = reduce(np.add, self.sums.values())
        mean = total / count
        shifts = dict.fromkeys(elements, float(mean))
        for number, (own, atoms) in self.sums.items():
            trust = 0.0 if np.isinf(shrinkage) else atoms / (atoms + shrinkage)
            shifts[number] = float(mean + trust * (own / atoms - mean))
        return shifts


def fit_shifts(
    parent: Model,
    narrowed: Model,
    train: Iterable[Pair],
    held_out: Iterable[Pair],
) -> tuple[dict[int, float], float, float]:
    """Fit shifts for the narrowed model; neither model is changed.

    Args:
        parent: the model that ``narrowed`` was made from.
        narrowed: the model whose energies are to be shifted.
        train: batches, on the models' device.
        held_out: other batches, used to choose the shrinkage and to decide whether to shift at all.

    Returns:
        Atomic number -> shift in eV for every element of the model, empty if no shifts help; and
        the mean absolute energy difference on held-out structures in eV/atom, before and after.
    """
    fitted, test = AtomicDifferences(), AtomicDifferences()
    for batches, differences in ((train, fitted), (held_out, test)):
        for pair in batches:
            differences.add(parent, narrowed, pair)
    elements = narrowed.elements
    # Not the root mean square, which a few structures under high pressure would dominate.
    before = test.offsets.mean_absolute()
    errors = {k: test.offsets.mean_absolute(fitted.shifts(elements, k)) for k in SHRINKAGES}
    best = min(errors, key=errors.__getitem__)
    if errors[best] >= before:
        return {}, before, before
    fitted.add_sums(test)
    return fitted.shifts(elements, best), before, errors[best]
