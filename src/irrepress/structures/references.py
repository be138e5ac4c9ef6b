"""Atomic reference energies: what each element contributes to a total energy on average."""

from collections.abc import Iterable

import numpy as np


class EnergyFit:
    """Least squares of total energies on element counts, by streamed normal equations.

    Where the data leave directions open (a fixed composition), the solution is taken in which
    the contributions (count times energy) of the elements have the least norm: the elements
    of a fixed composition share its energy evenly.

    Args:
        elements: atomic numbers that can occur.
    """

    def __init__(self, elements: Iterable[int]):
        self.elements = np.array(sorted(elements), dtype=np.int64)
        size = len(self.elements)
        self._matrix = np.zeros((size, size))
        self._right = np.zeros(size)
        self._count = 0

    def add(self, counts: np.ndarray, energies: np.ndarray) -> None:
        """Add structures; those without an energy are passed over.

        Args:
            counts: atoms of every element, ``[structures, elements]``.
            energies: total energies in eV, ``[structures]``; NaN if there is no label.
        """
        labelled = np.isfinite(energies)
        counts, energies = counts[labelled].astype(float), energies[labelled]
        self._matrix += counts.T @ counts
        self._right += counts.T @ energies
        self._count += len(energies)

    def solve(self) -> dict[int, float]:
        """Return atomic number -> eV; empty if no structure had an energy."""
        if not self._count:
            return {}
        # Scaling to a unit diagonal keeps rare elements above the cut-off of the eigenvalues.
        scale = np.sqrt(np.diag(self._matrix))
        scale[scale == 0] = 1
        values, vectors = np.linalg.eigh(self._matrix / np.outer(scale, scale))
        kept = values > 1e-10 * values.max()
        projected = vectors[:, kept].T @ (self._right / scale)
        solution = vectors[:, kept] @ (projected / values[kept]) / scale
        return {int(z): float(e) for z, e in zip(self.elements, solution, strict=True)}
