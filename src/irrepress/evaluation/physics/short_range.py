"""Two atoms that approach, that cross the cutoff, and copies of a structure."""

from collections.abc import Iterator, Mapping
from itertools import combinations_with_replacement

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii

from irrepress.evaluation.physics.case import Case, Found, Values
from irrepress.evaluation.physics.config import ValidationSettings

# Distances of curves: from and to so many times the sum of the covalent radii, in steps of Å.
_NEAR, _FAR, _STEP = 0.5, 1.8, 0.05
# The parent's minimum is looked for beyond this share.
_BONDED = 0.7
# Å about the cutoff, and the step in between.
_INSIDE, _OUTSIDE, _FINE = 0.3, 0.06, 0.02
# Pairs whose curve is measured across the cutoff: more would tell no more.
_MOST_PAIRS = 6


def measure_diatomics(case: Case) -> Values:
    """Compute the energy of two atoms against their distance, for every pair of elements."""
    found = {}
    for name, one, other in _pairs(case.atoms):
        radii = covalent_radii[one] + covalent_radii[other]
        distances = np.arange(_NEAR * radii, _FAR * radii, _STEP)
        energies = [_pair(case, one, other, d).get_potential_energy() for d in distances]
        found[name] = {"distances": distances.tolist(), "energies": list(map(float, energies))}
    return found


def judge_diatomics(
    own: Values, parents: Mapping[str, Values], settings: ValidationSettings
) -> Iterator[Found]:
    """Yield the verdict on holes: distances at which a pair falls together but not the parent's."""
    allowed = settings.tolerances.hole
    worst, where, unsure = 0.0, "", []
    for pair, parent in parents["diatomics"].items():
        distances = np.array(parent["distances"])
        first, last = repulsive_range(distances, np.array(parent["energies"]), allowed)
        if first > 0:
            unsure.append(f"{pair} below {distances[first]:.2f} Å")
        energies = np.array(own[pair]["energies"])[first : last + 1]
        depth, place = hole(energies, allowed)
        if depth > worst:
            worst, where = depth, f"{pair} at {distances[first + place]:.2f} Å"
            # What atoms have to climb to fall in: dynamics that lack this energy never do.
            where += f", behind a barrier of {energies[place:].max() - energies[-1]:.3g} eV"
    told = [f"deepest: {where}"] if where else []
    if worst > allowed:
        told.append("models that keep enough learn from close pairs to have none (--close-pairs)")
    if unsure:
        told.append(f"not compared where the parent has one: {', '.join(unsure)}")
    yield Found("holes at short range", worst, "eV", allowed, "; ".join(told), alone=True)


def repulsive_range(distances: np.ndarray, energies: np.ndarray, allowed: float) -> tuple[int, int]:
    """Return the first and last index of where a curve rises inwards, up to its minimum.

    Args:
        distances: ``[points]`` in Å, the shortest first, which is half of the sum of radii.
        energies: ``[points]`` in eV.
        allowed: by how much it may fall on the way.

    Example:
        >>> distances = np.linspace(0.5, 1.5, 5)
        >>> repulsive_range(distances, np.array([1.0, 9.0, 5.0, 0.0, 0.5]), 0.1)
        (1, 3)
    """
    bonded = distances >= _BONDED / _NEAR * distances[0]
    last = int(np.argmin(np.where(bonded, energies, np.inf)))
    first, highest = last, energies[last]
    while first > 0 and energies[first - 1] > highest - allowed:
        first -= 1
        highest = max(highest, energies[first])
    return first, last


def hole(energies: np.ndarray, allowed: float) -> tuple[float, int]:
    """Return by how much a curve falls inwards at most, and the index of the lowest point.

    A minimum that lies farther in than the parent's is no hole, as long as the curve rises then.

    Args:
        energies: ``[points]`` in eV, the shortest distance first.
        allowed: a rise by more than this ends the minimum.

    Example:
        >>> hole(np.array([9.0, 2.0, 5.0, -0.5, 0.0]), 0.1)
        (3.0, 1)
        >>> hole(np.array([-9.0, -5.0, 0.0]), 0.1)
        (9.0, 0)
    """
    lowest = highest = energies[-1]
    risen, depth, place = False, 0.0, len(energies) - 1
    for index in range(len(energies) - 1, -1, -1):
        energy = energies[index]
        if not risen:
            lowest = min(lowest, energy)
            risen, highest = bool(energy - lowest > allowed), energy
        highest = max(highest, energy)
        if risen and highest - energy > depth:
            depth, place = float(highest - energy), index
    if not risen:
        place = int(np.argmin(energies))
        return float(energies[-1] - energies[place]), place
    return depth, place


def measure_cutoff(case: Case) -> Values:
    """Draw one atom across the cutoff of another; return energies in eV and forces in eV/Å."""
    found = {}
    steps = np.arange(case.cutoff - _INSIDE, case.cutoff + _OUTSIDE, _FINE)
    for name, one, other in list(_pairs(case.atoms))[:_MOST_PAIRS]:
        energies, forces = [], []
        for distance in steps:
            atoms = _pair(case, one, other, distance)
            energies.append(float(atoms.get_potential_energy()))
            forces.append(float(atoms.get_forces()[1, 2]))
        found[name] = {"energies": energies, "forces": forces}
    return found


def judge_cutoff(
    own: Values, parents: Mapping[str, Values], settings: ValidationSettings
) -> Iterator[Found]:
    """Yield the verdict on the energy that no force explains."""
    jumps = {pair: _jump(values) for pair, values in own.items()}
    worst = max(jumps, key=lambda pair: jumps[pair])
    before = max(map(_jump, parents["cutoff"].values()))
    second = max(float(np.abs(np.diff(values["forces"], 2)).max()) for values in own.values())
    yield Found(
        "energy across the cutoff",
        1000 * jumps[worst],
        "meV",
        1000 * max(settings.tolerances.smoothness / 1000, 1.5 * before),
        f"{worst}; the parent {1000 * before:.2g}; second difference of the force "
        f"{1000 * second:.2g} meV/Å",
        alone=True,
    )


def _jump(values: Values) -> float:
    """Return the largest change of the energy that the force does not explain, in eV."""
    energies, forces = np.array(values["energies"]), np.array(values["forces"])
    explained = -(forces[1:] + forces[:-1]) / 2 * _FINE
    return float(np.abs(np.diff(energies) - explained).max())


def measure_extensivity(case: Case) -> Values:
    """Return the energy of two copies less twice that of one, in eV/atom."""
    one = case.copy()
    two = one.copy()
    if one.pbc.any():
        lengths = np.where(one.pbc, one.cell.lengths(), np.inf)
        repeats = [1, 1, 1]
        repeats[int(np.argmin(lengths))] = 2
        two = one.repeat(repeats)
    else:
        away = one.copy()
        away.translate([0, 0, float(np.ptp(one.positions[:, 2])) + 20 * case.cutoff])
        two += away
    once, twice = one.get_potential_energy(), case.copy(two).get_potential_energy()
    return {"difference": float(twice - 2 * once) / len(one)}


def judge_extensivity(
    own: Values, parents: Mapping[str, Values], settings: ValidationSettings
) -> Iterator[Found]:
    """Yield the verdict on copies."""
    before = 1000 * abs(parents["extensivity"]["difference"])
    yield Found(
        "energy of two copies",
        1000 * abs(own["difference"]),
        "meV/atom",
        settings.tolerances.extensivity,
        f"the parent {before:.2g}",
        alone=True,
    )


def _pairs(atoms: Atoms) -> Iterator[tuple[str, int, int]]:
    """Yield name and numbers of every pair of elements."""
    elements = sorted(set(atoms.numbers.tolist()))
    for one, other in combinations_with_replacement(elements, 2):
        yield f"{chemical_symbols[one]}-{chemical_symbols[other]}", one, other


def _pair(case: Case, one: int, other: int, distance: float) -> Atoms:
    return case.copy(Atoms([one, other], [[0, 0, 0], [0, 0, float(distance)]]))
