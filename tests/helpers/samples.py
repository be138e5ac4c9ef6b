"""Structures of random content, for tests in this process and in others."""

from collections.abc import Iterator

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from irrepress.core.structure import Structure

FIELDS = ("numbers", "positions", "cell", "pbc", "energy", "forces", "stress", "group")


def random_structures(count: int, seed: int = 0, most: int = 30) -> Iterator[Structure]:
    """Yield structures of 1 to ``most`` atoms, five to a group, every third without stress."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        size = int(rng.integers(1, most + 1))
        yield Structure(
            numbers=rng.integers(1, 90, size),
            positions=rng.normal(size=(size, 3)),
            cell=rng.normal(size=(3, 3)),
            pbc=rng.integers(0, 2, 3).astype(bool),
            energy=float(rng.normal()),
            forces=rng.normal(size=(size, 3)),
            stress=rng.normal(size=6) if index % 3 else np.full(6, np.nan),
            group=f"Elternkristall №{index // 5}",
        )


def assert_same(one: Structure, other: Structure) -> None:
    """Assert that two structures agree bit for bit."""
    for field in FIELDS:
        a, b = np.asarray(getattr(one, field)), np.asarray(getattr(other, field))
        assert a.dtype.kind == b.dtype.kind, field
        assert a.shape == b.shape, field
        assert a.tobytes() == b.tobytes() if a.dtype.kind != "U" else a == b, field


def copper_frames(count: int, rattle: float = 0.05) -> list[Atoms]:
    """Rattled cells of copper with energies and forces of EMT, as a user's files hold them."""
    frames = []
    for seed in range(count):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(rattle, seed=seed)
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    return frames
