"""Checks that a model is equivariant and that its forces are derivatives of its energy."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from irrepress.evaluation.predictions import label
from irrepress.families.base import Family, Model
from irrepress.structures.structure import Structure

STEP = 1e-4  # Å, of the central differences


def check_symmetry(
    family: Family, model: Model, structure: Structure, *, seed: int = 0, components: int = 6
) -> dict[str, float | None]:
    """Measure how far a model is from its symmetries, relative to its largest force.

    Args:
        family: the model's family.
        model: a float64 model; in float32 round-off hides what is looked for.
        structure: what is transformed.
        seed: of the rotation, the shift, the permutation and the components differentiated.
        components: force components compared with central differences.

    Returns:
        ``rotation``, ``inversion`` (None if the family does not claim it), ``translation``,
        ``permutation``: largest deviation of the forces over the largest force, or of the
        energy per atom over 1 eV if that is larger. ``finite_difference``: largest deviation
        of forces from central differences of the energy over the largest force.
    """
    rng = np.random.default_rng(seed)

    def predict(s: Structure) -> Structure:
        return next(label(family, model, [s], batch_size=1, device=str(model.device)))

    base = predict(structure)
    rotation = Rotation.random(rng=rng).as_matrix()
    order = rng.permutation(len(structure))

    def deviation(
        transform: Callable[[Structure], Structure], forces: Callable[[np.ndarray], np.ndarray]
    ) -> float:
        moved = predict(transform(structure))
        scale = max(float(np.abs(base.forces).max()), 1e-12)
        by_forces = float(np.abs(moved.forces - forces(base.forces)).max()) / scale
        return max(by_forces, abs(moved.energy - base.energy) / len(structure))

    def linear(matrix: np.ndarray) -> Callable[[Structure], Structure]:
        return lambda s: replace(s, positions=s.positions @ matrix.T, cell=s.cell @ matrix.T)

    shift = rng.normal(size=3)
    checks: dict[str, float | None] = {
        "rotation": deviation(linear(rotation), lambda f: f @ rotation.T),
        "inversion": None,
        "translation": deviation(lambda s: replace(s, positions=s.positions + shift), lambda f: f),
        "permutation": deviation(
            lambda s: replace(s, numbers=s.numbers[order], positions=s.positions[order]),
            lambda f: f[order],
        ),
        "finite_difference": _finite_difference(predict, structure, base, rng, components),
    }
    if family.has_reflections(model):
        checks["inversion"] = deviation(linear(-np.eye(3)), lambda f: -f)
    return checks


def _finite_difference(
    predict: Callable[[Structure], Structure],
    structure: Structure,
    base: Structure,
    rng: np.random.Generator,
    components: int,
) -> float:
    """Largest deviation of force components from central differences, over the largest force."""
    total = structure.positions.size
    worst = 0.0
    for flat in rng.choice(total, size=min(components, total), replace=False):
        energies = []
        for sign in (1, -1):
            positions = structure.positions.copy()
            positions.flat[flat] += sign * STEP
            energies.append(predict(replace(structure, positions=positions)).energy)
        force = -(energies[0] - energies[1]) / (2 * STEP)
        worst = max(worst, abs(force - base.forces.flat[flat]))
    return worst / max(float(np.abs(base.forces).max()), 1e-12)
