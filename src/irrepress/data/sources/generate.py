"""Strained and rattled structures from prototypes, to be labelled by a model."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from irrepress.core.errors import UserError
from irrepress.core.structure import Structure
from irrepress.data.geometry import overlapping
from irrepress.data.sources.config import Generated
from irrepress.data.sources.prototypes import KINDS, PROTOTYPES, Kind, Prototype, resolve
from irrepress.data.sources.strain import deformed

# Fractions of the sum of covalent radii below which a structure is redrawn. The limit for the
# strained parent is slightly larger, so that a small enough rattle always passes.
_CLOSEST_PARENT = 0.75
_CLOSEST_CHILD = 0.70
# Minimum number of parents per system, if it has enough structures.
_PARENTS = 8
_SIBLINGS = 4


def generate(config: Generated) -> Iterator[Structure]:
    """Return unlabelled structures, cycling through the systems.

    A parent is a supercell of a prototype with random occupation (in random alloys) and a random
    symmetric strain; its children are rattled. The amplitudes of strain and rattle are drawn
    between nearly zero and the given bounds, so that some structures are close to equilibrium and
    others far from it. Structures of one parent share the group ``{prototype}/{parent}``; every
    system has at least eight parents if it has enough structures. The same settings give the same
    structures.

    Args:
        config: systems, number of structures, size and amplitudes.

    Raises:
        UserError: if a system is unknown or larger than ``max_atoms``.
    """
    return _draw(config, _fitting(config))


def elements_of(config: Generated) -> list[int]:
    """Return the atomic numbers that generated structures may have.

    Args:
        config: the systems.

    Raises:
        UserError: as in `generate`.
    """
    elements: set[int] = set()
    for system in _fitting(config):
        elements |= set(system.unit.numbers.tolist())
        elements |= {atomic_numbers[symbol] for symbol in system.prototype.mixture}
    return sorted(elements)


def check_systems(config: Generated) -> None:
    """Check that every system is known and fits; see `generate`.

    Raises:
        UserError: as in `generate`, and if there are fewer structures than splits.
    """
    _fitting(config)
    parts = [part for part in ("train", "valid", "test") if getattr(config.split, part) > 0]
    if config.count < len(parts):
        raise UserError(
            f"count: {config.count} structures are too few for the splits {', '.join(parts)}; "
            "raise it, or set the fraction of a split to 0"
        )


@dataclass(frozen=True)
class _System:
    """A prototype with its smallest cell and the supercells within the size limit."""

    name: str
    prototype: Prototype
    unit: Atoms
    supercells: list[tuple[int, int, int]]


def _draw(config: Generated, systems: list[_System]) -> Iterator[Structure]:
    for index in range(config.count):
        turn, place = divmod(index, len(systems))
        system = systems[place]
        total = (config.count - place - 1) // len(systems) + 1
        siblings = min(_SIBLINGS, max(1, total // _PARENTS))
        parent, child = divmod(turn, siblings)
        stream = [config.seed, zlib.crc32(system.name.encode()), parent]
        atoms = _draw_parent(system, config.strain, np.random.default_rng(stream))
        atoms = _rattled(atoms, config.rattle, np.random.default_rng([*stream, child + 1]))
        yield Structure.unlabelled(atoms, group=f"{system.name}/{parent}")


def _fitting(config: Generated) -> list[_System]:
    """Return the systems that are small enough."""
    units = {name: PROTOTYPES[name].build() for name in resolve(config.systems)}
    fitting = [name for name, unit in units.items() if len(unit) <= config.max_atoms]
    for system in config.systems:
        members = resolve([system])
        if set(members) & set(fitting):
            continue
        smallest = min(len(units[name]) for name in members)
        what = f"the smallest of the {system}" if system in KINDS else repr(system)
        raise UserError(
            f"systems: {what} has {smallest} atoms, more than max_atoms: {config.max_atoms}; raise "
            "max_atoms, or remove the system"
        )
    return [
        _System(
            name,
            PROTOTYPES[name],
            units[name],
            _supercells(units[name], PROTOTYPES[name].kind, config.max_atoms),
        )
        for name in fitting
    ]


def _supercells(unit: Atoms, kind: Kind, max_atoms: int) -> list[tuple[int, int, int]]:
    """Return the most compact supercell for every number of cells that fits."""
    if kind == "molecules":
        return [(1, 1, 1)]
    most = max_atoms // len(unit)
    best: dict[int, tuple[int, int, int]] = {}
    lengths = unit.cell.lengths()
    for a in range(1, most + 1):
        for b in range(1, most // a + 1):
            for c in range(1, 2 if kind == "surfaces" else most // (a * b) + 1):
                repeat, cells = (a, b, c), a * b * c
                if cells not in best or max(repeat * lengths) < max(best[cells] * lengths):
                    best[cells] = repeat
    return [best[cells] for cells in sorted(best)]


def _draw_parent(system: _System, largest: float, rng: np.random.Generator) -> Atoms:
    """Return a repeated, occupied and strained cell."""
    atoms = system.unit.repeat(system.supercells[rng.integers(len(system.supercells))])
    if system.prototype.mixture:
        _occupy(atoms, system.prototype, rng)
    strain = rng.uniform(-1, 1, size=(3, 3))
    strain = (strain + strain.T) / 2 * largest * rng.uniform()
    if system.prototype.kind == "surfaces":
        strain[2, :] = strain[:, 2] = 0
    strained = deformed(atoms, strain)
    while overlapping(strained, _CLOSEST_PARENT):
        strain *= 0.9
        strained = deformed(atoms, strain)
    return strained


def _occupy(atoms: Atoms, prototype: Prototype, rng: np.random.Generator) -> None:
    """Assign elements of the mixture to sites, each at least once if there are enough sites."""
    symbols = list(prototype.mixture)
    shares = np.array(list(prototype.mixture.values()))
    chosen = rng.choice(len(symbols), size=len(atoms), p=shares / shares.sum())
    for element, site in zip(range(len(symbols)), rng.permutation(len(atoms)), strict=False):
        if element not in chosen:
            chosen[site] = element
    atoms.symbols = [symbols[element] for element in chosen]


def _rattled(atoms: Atoms, rattle: float, rng: np.random.Generator) -> Atoms:
    """Return atoms with normally distributed displacements, redrawn while atoms overlap."""
    deviation = rattle * rng.uniform(0.05, 1)
    result = atoms.copy()
    while True:
        result.positions = atoms.positions + rng.normal(scale=deviation, size=(len(atoms), 3))
        if not overlapping(result, _CLOSEST_CHILD):
            return result
        deviation *= 0.9
