"""Fits of constants per element to total energies and to differences of total energies."""

from collections.abc import Iterable, Mapping

import numpy as np

# Directions with eigenvalues below this fraction of the largest are not fitted, because the data
# only determine them to round-off.
_CUT_OFF = 1e-10


class EnergyFit:
    """Least-squares fit of total energies to element counts, by streamed normal equations.

    If the data do not determine some directions (a fixed composition), the solution minimises the
    norm of the elements' contributions (count times energy): the elements of a fixed composition
    share its energy evenly.

    Args:
        elements: atomic numbers that can occur.

    Example:
        >>> fit = EnergyFit([1, 8])
        >>> fit.add(np.array([[2, 0], [2, 1]]), np.array([-6.0, -14.0]))
        >>> {number: round(energy, 6) for number, energy in fit.solve().items()}
        {1: -3.0, 8: -8.0}
    """

    def __init__(self, elements: Iterable[int]):
        self.elements = np.array(sorted(elements), dtype=np.int64)
        size = len(self.elements)
        self._matrix = np.zeros((size, size))
        self._right = np.zeros(size)
        self._count = 0

    def add(self, counts: np.ndarray, energies: np.ndarray) -> None:
        """Add structures; those without an energy are ignored.

        Args:
            counts: number of atoms of every element, ``[structures, elements]``.
            energies: total energies in eV, ``[structures]``; NaN if unlabelled.
        """
        labelled = np.isfinite(energies)
        counts, energies = counts[labelled].astype(float), energies[labelled]
        self._matrix += counts.T @ counts
        self._right += counts.T @ energies
        self._count += len(energies)

    def solve(self) -> dict[int, float]:
        """Return atomic number -> energy in eV; empty if no structure had an energy."""
        if not self._count:
            return {}
        scale, values, vectors = self._scaled()
        kept = values > _CUT_OFF * values.max()
        projected = vectors[:, kept].T @ (self._right / scale)
        solution = vectors[:, kept] @ (projected / values[kept]) / scale
        return {int(z): float(e) for z, e in zip(self.elements, solution, strict=True)}

    def rank(self) -> int:
        """Return the number of contributions that the data determine."""
        if not self._count:
            return 0
        _, values, _ = self._scaled()
        return int((values > _CUT_OFF * values.max()).sum())

    def _scaled(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the scale of each element, and the eigensystem of the scaled matrix."""
        # Scaling to a unit diagonal keeps rare elements above the cut-off of the eigenvalues.
        scale = np.sqrt(np.diag(self._matrix))
        scale[scale == 0] = 1
        return scale, *np.linalg.eigh(self._matrix / np.outer(scale, scale))


class EnergyOffsets:
    """Differences between two energies of each structure, grouped by composition.

    A least-squares fit to the differences per atom separates constants per element (due to another
    level of theory, pseudopotential or reference) from the rest.

    Example:
        >>> offsets = EnergyOffsets()
        >>> offsets.add(np.array([1, 1]), 4.0)
        >>> offsets.add(np.array([1, 1, 1]), 6.0)
        >>> offsets.fit()
        {1: 2.0}
    """

    def __init__(self) -> None:
        self._compositions: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
        self._rows: list[int] = []  # the composition of each structure
        self._differences: list[float] = []  # eV/atom

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, numbers: np.ndarray, difference: float) -> None:
        """Add a structure.

        Args:
            numbers: its atomic numbers, ``[atoms]``.
            difference: difference of the total energies in eV.
        """
        elements, counts = np.unique(numbers, return_counts=True)
        key = tuple(elements.tolist()), tuple(counts.tolist())
        self._rows.append(self._compositions.setdefault(key, len(self._compositions)))
        self._differences.append(difference / len(numbers))

    def fit(self) -> dict[int, float]:
        """Return the constants, atomic number -> eV; empty without structures."""
        return self._normal_equations().solve()

    def rank(self) -> int:
        """Return the number of constants that the compositions determine."""
        return self._normal_equations().rank()

    def differences(self) -> np.ndarray:
        """Return the differences per atom in eV, ``[structures]``."""
        return np.array(self._differences)

    def mean_absolute(self, constants: Mapping[int, float] | None = None) -> float:
        """Return the mean absolute difference in eV/atom, after subtracting constants if given."""
        return float(np.abs(self.left_over(constants or {})).mean())

    def left_over(self, constants: Mapping[int, float]) -> np.ndarray:
        """Return the differences minus constants, in eV/atom, ``[structures]``.

        Args:
            constants: atomic number -> eV; 0 for missing elements.
        """
        explained = [
            sum(count * constants.get(z, 0.0) for z, count in zip(*key, strict=True)) / sum(key[1])
            for key in self._compositions
        ]
        return self.differences() - np.array(explained)[self._rows]

    def _normal_equations(self) -> "EnergyFit":
        elements = sorted({z for found, _ in self._compositions for z in found})
        column = {z: i for i, z in enumerate(elements)}
        fit = EnergyFit(elements)
        size = len(self._compositions)
        weights = np.sqrt(np.bincount(self._rows, minlength=size))
        sums = np.bincount(self._rows, self._differences, minlength=size)
        for (found, counts), index in self._compositions.items():
            row = np.zeros(len(elements))
            row[[column[z] for z in found]] = np.array(counts) / sum(counts)
            # Equivalent to one equal row for each structure of the composition.
            fit.add(row[None] * weights[index], sums[[index]] / weights[index])
        return fit
