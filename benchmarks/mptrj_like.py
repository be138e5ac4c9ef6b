"""Structures with the sizes, densities and forces of MPtrj's, made up in any number.

Sizes, volumes and forces follow the distributions of 700 random MPtrj frames (Deng et al.
2023): the logarithm of the number of atoms is normal with mean 3.06 and deviation 0.92, the
median volume is 15.4 Å^3 an atom, every tenth force component is zero by symmetry. A material
has eleven frames on average. Numbers have eight decimals, as VASP gives them: it matters for
compression.
"""

from collections.abc import Iterator

import numpy as np

from irrepress.core.structure import Structure

FRAMES_PER_MATERIAL = 11


def mptrj_like(count: int, seed: int = 0) -> Iterator[Structure]:
    """Yield so many structures, one after another."""
    rng = np.random.default_rng(seed)
    made = 0
    while made < count:
        frames = min(1 + rng.poisson(FRAMES_PER_MATERIAL - 1), count - made)
        yield from _material(rng, int(frames), f"mp-{made}")
        made += frames


def _material(rng: np.random.Generator, frames: int, name: str) -> Iterator[Structure]:
    size = int(np.clip(np.exp(rng.normal(3.06, 0.92)), 1, 200))
    elements = rng.choice(np.arange(1, 90), rng.integers(1, 7), replace=False)
    numbers = np.sort(rng.choice(elements, size))
    # Atoms sit on a grid, so that no two of them are on top of each other.
    steps = int(np.ceil(size ** (1 / 3)))
    edge = (size * rng.lognormal(np.log(15.4), 0.4)) ** (1 / 3)
    sites = np.stack(np.unravel_index(rng.permutation(steps**3)[:size], (steps,) * 3), axis=1)
    cell = edge * (np.eye(3) + rng.normal(0, 0.05, (3, 3)))
    positions = (sites / steps) @ cell
    energies = -0.1 * numbers.sum() - 3.0 * size
    for _ in range(frames):
        positions = positions + rng.normal(0, 0.02, positions.shape)
        forces = rng.normal(0, 1, (size, 3)) * rng.lognormal(-2.5, 1.3)
        forces[rng.random((size, 3)) < 0.1] = 0
        stress = rng.normal(0, 0.02, 6)
        yield Structure(
            numbers=numbers,
            positions=positions.round(8),
            cell=cell.round(8),
            pbc=np.ones(3, dtype=bool),
            energy=float(np.round(energies + rng.normal(0, 0.01 * size), 8)),
            forces=forces.round(8),
            stress=stress.round(10),
            group=name,
        )
