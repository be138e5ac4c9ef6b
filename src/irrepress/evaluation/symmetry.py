"""Checks that a model is equivariant and that its forces are derivatives of its energy."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from irrepress.core.model import Model
from irrepress.core.structure import Structure
from irrepress.evaluation.predictions import Failures, label

STEP = 1e-4  # Å, of the central differences
# eV/Å. Smaller forces are round-off, and deviations relative to them are meaningless.
_LEAST_FORCE = 1e-6
CHECKS = ("rotation", "inversion", "translation", "permutation", "finite_difference")


def check_symmetry(
    model: Model,
    structure: Structure,
    *,
    seed: int = 0,
    components: int = 6,
    native: bool = False,
) -> dict[str, float | None]:
    """Measure a model's deviations from its symmetries, relative to its largest force.

    Args:
        model: a float64 model; in float32, round-off hides deviations.
        structure: the structure to transform.
        seed: seed for the rotation, the shift, the permutation and the choice of components.
        components: number of force components to compare with central differences.
        native: whether to check the code of the family's package, which users of a saved model run.

    Returns:
        ``rotation``, ``inversion`` (None if the family does not claim it), ``translation``,
        ``permutation``: largest deviation of the forces divided by the largest force, or of the
        energy in eV/atom if that is larger. ``finite_difference``: largest deviation of forces from
        central differences of the energy, divided by the largest force. All are None if the
        predicted forces vanish; those with predictions that are not finite are None as well.
    """
    # fairchem rotates edge frames by random angles.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _check(model, structure, seed, components, native)


def _check(
    model: Model, structure: Structure, seed: int, components: int, native: bool
) -> dict[str, float | None]:
    rng = np.random.default_rng(seed)

    def predict(s: Structure) -> Structure:
        # Predictions that are not finite leave a check without a value.
        failures = Failures()
        return next(label(model, [s], batch_size=1, failures=failures, native=native))

    base = predict(structure)
    scale = float(np.abs(base.forces).max())
    if not scale >= _LEAST_FORCE:  # or NaN
        return dict.fromkeys(CHECKS)
    rotation = Rotation.random(rng=rng).as_matrix()
    order = rng.permutation(len(structure))

    def deviation(
        transform: Callable[[Structure], Structure], forces: Callable[[np.ndarray], np.ndarray]
    ) -> float:
        moved = predict(transform(structure))
        by_forces = np.abs(moved.forces - forces(base.forces)).max() / scale
        # Unlike Python's, NumPy's maximum of NaN is NaN.
        return float(np.maximum(by_forces, abs(moved.energy - base.energy) / len(structure)))

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
        "finite_difference": _finite_difference(predict, structure, base, rng, components) / scale,
    }
    if model.has_reflections():
        checks["inversion"] = deviation(linear(-np.eye(3)), lambda f: -f)
    return {
        name: value if value is not None and np.isfinite(value) else None
        for name, value in checks.items()
    }


def _finite_difference(
    predict: Callable[[Structure], Structure],
    structure: Structure,
    base: Structure,
    rng: np.random.Generator,
    components: int,
) -> float:
    """Return the largest deviation of force components from central differences in eV/Å."""
    total = structure.positions.size
    worst = 0.0
    for flat in rng.choice(total, size=min(components, total), replace=False):
        energies = []
        for sign in (1, -1):
            positions = structure.positions.copy()
            positions.flat[flat] += sign * STEP
            energies.append(predict(replace(structure, positions=positions)).energy)
        force = -(energies[0] - energies[1]) / (2 * STEP)
        worst = np.maximum(worst, abs(force - base.forces.flat[flat]))
    return float(worst)
