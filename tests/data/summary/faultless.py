"""Structures that nothing is wrong with."""

import numpy as np

from irrepress.core.structure import Structure


def labelled(atoms, seed=0, stress=True, group=""):
    """Return atoms, rattled a little, with labels that nothing is wrong with."""
    rng = np.random.default_rng(seed)
    atoms = atoms.copy()
    atoms.positions += rng.normal(scale=0.02, size=(len(atoms), 3))
    return Structure(
        numbers=atoms.get_atomic_numbers(),
        positions=atoms.get_positions(),
        cell=np.array(atoms.cell),
        pbc=atoms.get_pbc(),
        energy=-3.0 * len(atoms) + 0.01 * len(atoms) * rng.normal(),
        forces=rng.normal(size=(len(atoms), 3)),
        stress=0.01 * rng.normal(size=6) if stress else np.full(6, np.nan),
        group=group,
    )
