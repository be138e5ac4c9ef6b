"""Errors on frames of the parent's dynamics that nothing was trained on."""

from collections.abc import Iterator, Mapping

import numpy as np
from ase import Atoms, units

from irrepress.evaluation.physics.case import Case, Found, NotDone, Values
from irrepress.evaluation.physics.config import ValidationSettings


def measure_errors(case: Case, temperature: float) -> Values:
    """Compare predictions with the parent's on its frames; the parent itself has no errors.

    Returns:
        ``force_error`` and ``mean_force`` in eV/Å, means of lengths; ``energy`` in eV/atom and
        ``spread`` (about its mean); ``stress`` in eV/Å³, None without a volume.

    Raises:
        NotDone: the parent has no frames.
    """
    source = case.own if case.parent is None else case.parent
    run = source.get(f"dynamics {temperature:g} K", {})
    if not run.get("frames"):
        raise NotDone("there are no frames of the parent's dynamics at this temperature")
    errors, sizes, energies, stresses = [], [], [], []
    for frame in run["frames"]:
        reference = np.array(frame["forces"])
        sizes.append(np.linalg.norm(reference, axis=1))
        atoms = case.copy(
            Atoms(run["numbers"], frame["positions"], cell=frame["cell"], pbc=run["pbc"])
        )
        if case.parent is None:
            continue
        errors.append(np.linalg.norm(atoms.get_forces() - reference, axis=1))
        energies.append((atoms.get_potential_energy() - frame["energy"]) / len(atoms))
        if frame["stress"] is not None:
            stresses.append(np.abs(atoms.get_stress() - frame["stress"]))
    return {
        "frames": len(sizes),
        "mean_force": float(np.mean(sizes)),
        "force_error": float(np.mean(errors)) if errors else 0.0,
        "energy": float(np.abs(energies).mean()) if energies else 0.0,
        "spread": float(np.std(energies)) if energies else 0.0,
        "stress": float(np.mean(stresses)) if stresses else None,
    }


def judge_errors(
    own: Values, parents: Mapping[str, Values], settings: ValidationSettings, temperature: float
) -> Iterator[Found]:
    """Yield the verdicts on forces, energies and stress."""
    at = f"at {temperature:g} K"
    mean = own["mean_force"]
    told = (
        f"{1000 * own['force_error']:.3g} of {1000 * mean:.3g} meV/Å on {own['frames']} new frames"
    )
    share = 100 * own["force_error"] / mean if mean else 0.0
    yield Found(f"forces {at}", share, "%", settings.tolerances.forces, told)
    yield Found(
        f"energy {at}",
        1000 * own["energy"],
        "meV/atom",
        settings.tolerances.energy,
        f"about its mean {1000 * own['spread']:.2g}",
    )
    if own["stress"] is not None:
        yield Found(f"stress {at}", own["stress"] / units.GPa, "GPa", settings.tolerances.stress)
