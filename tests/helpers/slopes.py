"""Forces beside differences of energies."""

import pytest
from ase.build import bulk

from irrepress.core.model import Model
from irrepress.core.structure import Structure


def check_that_forces_are_slopes(model: Model) -> None:
    """Compare a force with the energies of two displaced structures."""
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=3)
    step, energies = 1e-4, []
    forces = model.predict(model.batch([Structure.unlabelled(atoms)])).forces
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[2, 1] += sign * step
        energies.append(float(model.predict(model.batch([Structure.unlabelled(moved)])).energy))
    slope = (energies[0] - energies[1]) / (2 * step)
    assert float(forces[2, 1]) == pytest.approx(-slope, rel=1e-5, abs=1e-6)
