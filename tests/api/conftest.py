"""Potentials of a small SevenNet, and frames to work on."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

import irrepress
from irrepress.api import Frames, Potential


@pytest.fixture(scope="session")
def saved(small_sevennet, tmp_path_factory) -> Path:
    """The file of a small model with real weights, without a card."""
    path = tmp_path_factory.mktemp("models") / "large.pt"
    small_sevennet.save(path)
    return path


@pytest.fixture(scope="session")
def potential(saved) -> Potential:
    return irrepress.load(saved, device="cpu")


@pytest.fixture(scope="session")
def unlabelled() -> list[Atoms]:
    frames = []
    for seed in range(12):
        atoms = bulk("Si" if seed % 2 else "Ge", cubic=True)
        atoms.rattle(0.08, seed=seed)
        frames.append(atoms)
    return frames


@pytest.fixture(scope="session")
def labelled(unlabelled) -> list[Atoms]:
    """The same with labels that no model would give."""
    rng = np.random.default_rng(0)
    frames = []
    for atoms in unlabelled:
        atoms = atoms.copy()
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=-5.0 * len(atoms) + rng.normal(),
            forces=rng.normal(size=(len(atoms), 3)),
            stress=0.01 * rng.normal(size=6),
        )
        frames.append(atoms)
    return frames


@pytest.fixture(scope="session")
def frames(labelled) -> Frames:
    return irrepress.read(labelled)


@pytest.fixture(scope="session")
def pruned(potential, frames) -> Potential:
    return potential.plan(frames, flops=0.5, multiple=2, floor=2, structures=4).apply()
