"""Radial distribution functions and mean square displacements along a trajectory."""

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from irrepress.core.vesin import NeighborList
from irrepress.evaluation.physics.case import Values

# Å. Width of the bins of radial distribution functions, and how far they go.
BIN, FARTHEST = 0.1, 6.0


def radial_distributions(frames: Sequence[Atoms]) -> Values:
    """Return the radial distribution function of every pair of elements, averaged over frames.

    It is normalized to the ideal gas of the same density; for what has no volume, to one atom per
    cubic Å, which cancels where two are compared.

    Returns:
        ``r``: middles of the bins in Å; ``pairs``: by pair such as ``Li-S``, the functions.
    """
    edges = np.arange(0.0, FARTHEST + BIN / 2, BIN)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    numbers = frames[0].numbers
    elements = sorted(set(numbers.tolist()))
    pairs = list(combinations_with_replacement(elements, 2))
    counts = {pair: np.zeros(len(shells)) for pair in pairs}
    volumes = []
    search = NeighborList(cutoff=FARTHEST, full_list=True, n_threads=1)
    for atoms in frames:
        volumes.append(atoms.get_volume() if atoms.pbc.all() else 1.0)
        neighbours, distances = search.compute(
            atoms.positions, np.array(atoms.cell), atoms.pbc, quantities="Pd"
        )
        first, second = neighbours[:, 0], neighbours[:, 1]
        for one, other in pairs:
            chosen = (numbers[first] == one) & (numbers[second] == other)
            counts[one, other] += np.histogram(distances[chosen], edges)[0]
    volume = float(np.mean(volumes))
    functions = {}
    for (one, other), count in counts.items():
        here, there = (int(np.sum(numbers == element)) for element in (one, other))
        ideal = here * there / volume * shells * len(frames)
        name = f"{chemical_symbols[one]}-{chemical_symbols[other]}"
        functions[name] = (count / ideal).tolist()
    return {"r": ((edges[1:] + edges[:-1]) / 2).tolist(), "pairs": functions}


def mean_distributions(one: Values, other: Values) -> Values:
    """Return the mean of two sets of functions of equally many frames."""
    pairs = {
        pair: ((np.array(values) + other["pairs"][pair]) / 2).tolist()
        for pair, values in one["pairs"].items()
    }
    return {"r": one["r"], "pairs": pairs}


def distance_of_distributions(own: Values, parent: Values, weights: dict[str, float]) -> float:
    """Return the integrated absolute difference of two sets of functions over the parent's, in %.

    Args:
        own: of `radial_distributions`.
        parent: the same of the parent.
        weights: of every pair, such as products of concentrations.
    """
    difference = total = 0.0
    for pair, weight in weights.items():
        one, other = np.array(own["pairs"][pair]), np.array(parent["pairs"][pair])
        difference += weight * float(np.abs(one - other).sum())
        total += weight * float(other.sum())
    return 100 * difference / total if total else 0.0


def pair_weights(atoms: Atoms) -> dict[str, float]:
    """Return the products of concentrations of every pair of elements, which sum to one."""
    symbols = np.array(atoms.get_chemical_symbols())
    elements = [chemical_symbols[z] for z in sorted(set(atoms.numbers.tolist()))]
    share = {element: float(np.mean(symbols == element)) for element in elements}
    return {
        f"{one}-{other}": share[one] * share[other] * (1 if one == other else 2)
        for one, other in combinations_with_replacement(elements, 2)
    }


def displacements(positions: np.ndarray, numbers: np.ndarray) -> dict[str, list[float]]:
    """Return the mean square displacement of every element in Å², by lag.

    Args:
        positions: unwrapped, ``[frames, atoms, 3]`` in Å, at equal intervals.
        numbers: atomic numbers, ``[atoms]``.

    Returns:
        By element, the means over all atoms and origins of time for lags of 0 to half of the
        frames.
    """
    lags = range(len(positions) // 2 + 1)
    moved = positions - positions.mean(axis=1, keepdims=True)
    found = {}
    for element in sorted(set(numbers.tolist())):
        chosen = moved[:, numbers == element]
        found[chemical_symbols[element]] = [
            float(np.square(chosen[lag:] - chosen[: len(chosen) - lag]).sum(-1).mean())
            for lag in lags
        ]
    return found


def diffusion(msd: Sequence[float], interval: float) -> float:
    """Return a diffusion coefficient in Å²/ps, by the slope of the second half of an MSD over 6.

    Args:
        msd: mean square displacements in Å² by lag.
        interval: time between lags in ps.
    """
    later = np.arange(len(msd))[len(msd) // 2 :]
    if len(later) < 2:
        return 0.0
    slope = np.polyfit(later * interval, np.array(msd)[later], 1)[0]
    return float(slope) / 6
