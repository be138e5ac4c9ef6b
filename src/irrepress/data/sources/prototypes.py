"""Prototypes: the crystals, alloys, surfaces and molecules that `generate` uses.

Lattice constants are rounded experimental values; they need not be a model's minimum, because
generated structures are strained and rattled. Molecules are those of the G2 set in ASE.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from ase import Atoms
from ase.build import (
    add_adsorbate,
    bcc110,
    bulk,
    diamond111,
    fcc100,
    fcc111,
    molecule,
    surface,
)
from ase.spacegroup import crystal

from irrepress.core.errors import UserError, nearest

Kind = Literal["crystals", "alloys", "surfaces", "molecules"]
KINDS: tuple[Kind, ...] = ("crystals", "alloys", "surfaces", "molecules")

_VACUUM = 6.0  # Å on either side of a slab


@dataclass(frozen=True)
class Prototype:
    """An undistorted structure to generate others from.

    Attributes:
        kind: kind of system, which determines the directions along which it may be repeated and
            strained.
        build: function that builds the smallest cell.
        mixture: for a random substitutional alloy, symbol -> fraction of the sites.

    Example:
        >>> prototype = PROTOTYPES["nacl"]
        >>> prototype.kind, prototype.build().get_chemical_formula()
        ('crystals', 'Cl4Na4')
    """

    kind: Kind
    build: Callable[[], Atoms]
    mixture: Mapping[str, float] = field(default_factory=dict)


def resolve(systems: Iterable[str]) -> list[str]:
    """Return the prototypes for names of prototypes and kinds, without duplicates, in order.

    Raises:
        UserError: if a name is unknown.
    """
    names: dict[str, None] = {}
    for system in systems:
        if system in KINDS:
            names.update(dict.fromkeys(n for n, p in PROTOTYPES.items() if p.kind == system))
        elif system in PROTOTYPES:
            names[system] = None
        else:
            hint = nearest(system, [*KINDS, *PROTOTYPES])
            raise UserError(f"systems: no prototype {system!r}; {hint}")
    return list(names)


def _cubic(symbols: str, structure: str, a: float) -> Prototype:
    return Prototype("crystals", partial(bulk, symbols, structure, a=a, cubic=True))


def _hexagonal(symbols: str, structure: str, a: float, c: float) -> Prototype:
    return Prototype("crystals", partial(bulk, symbols, structure, a=a, c=c))


def _spacegroup(
    symbols: list[str],
    basis: list[tuple[float, float, float]],
    spacegroup: int,
    cellpar: list[float],
) -> Prototype:
    def build() -> Atoms:
        return _plain(crystal(symbols, basis, spacegroup=spacegroup, cellpar=cellpar))

    return Prototype("crystals", build)


def _perovskite(a_site: str, b_site: str, a: float) -> Prototype:
    basis = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)]
    return _spacegroup([a_site, b_site, "O"], basis, 221, [a, a, a, 90, 90, 90])


def _ordered(symbols: list[str], c_over_a: float, a: float) -> Prototype:
    """Return an ordered fcc alloy with the given elements on the four sites of the cubic cell."""
    sites = [(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    cell = [a, a, a * c_over_a]
    return Prototype("alloys", lambda: Atoms(symbols, scaled_positions=sites, cell=cell, pbc=True))


def _random(symbol: str, structure: str, a: float, mixture: Mapping[str, float]) -> Prototype:
    """Return a random alloy on the sites of a cubic crystal."""
    return Prototype("alloys", partial(bulk, symbol, structure, a=a, cubic=True), mixture)


def _slab(build: Callable[..., Atoms], symbol: str, layers: int, a: float) -> Prototype:
    size = (1, 1, layers)
    return Prototype(
        "surfaces", lambda: _plain(build(symbol, size, a=a, vacuum=_VACUUM, periodic=True))
    )


def _rock_salt_slab(symbols: str, a: float) -> Prototype:
    def build() -> Atoms:
        crystal_cell = bulk(symbols, "rocksalt", a=a, cubic=True)
        return _plain(surface(crystal_cell, (1, 0, 0), 2, vacuum=_VACUUM, periodic=True))

    return Prototype("surfaces", build)


def _carbon_monoxide_on_platinum() -> Atoms:
    slab = fcc111("Pt", (2, 1, 3), a=3.92, vacuum=_VACUUM, orthogonal=False, periodic=True)
    add_adsorbate(slab, molecule("CO"), 1.85, "ontop", mol_index=1)
    slab.center(vacuum=_VACUUM, axis=2)
    return _plain(slab)


def _molecule(name: str) -> Prototype:
    return Prototype("molecules", lambda: _plain(molecule(name)))


def _plain(atoms: Atoms) -> Atoms:
    """Return only the geometry, without tags, magnetic moments and the like."""
    return Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


PROTOTYPES: dict[str, Prototype] = {
    # elements
    "silicon": _cubic("Si", "diamond", 5.43),
    "germanium": _cubic("Ge", "diamond", 5.66),
    "diamond": _cubic("C", "diamond", 3.57),
    "copper": _cubic("Cu", "fcc", 3.61),
    "aluminium": _cubic("Al", "fcc", 4.05),
    "nickel": _cubic("Ni", "fcc", 3.52),
    "iron": _cubic("Fe", "bcc", 2.87),
    "lithium": _cubic("Li", "bcc", 3.51),
    "tungsten": _cubic("W", "bcc", 3.17),
    "magnesium": _hexagonal("Mg", "hcp", 3.21, 5.21),
    "titanium": _hexagonal("Ti", "hcp", 2.95, 4.69),
    # compounds
    "nacl": _cubic("NaCl", "rocksalt", 5.64),
    "mgo": _cubic("MgO", "rocksalt", 4.21),
    "lif": _cubic("LiF", "rocksalt", 4.03),
    "cscl": _cubic("CsCl", "cesiumchloride", 4.12),
    "gaas": _cubic("GaAs", "zincblende", 5.65),
    "sic": _cubic("SiC", "zincblende", 4.36),
    "zno": _hexagonal("ZnO", "wurtzite", 3.25, 5.21),
    "gan": _hexagonal("GaN", "wurtzite", 3.19, 5.19),
    "caf2": _cubic("CaF2", "fluorite", 5.46),
    "tio2": _spacegroup(
        ["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], 136, [4.59, 4.59, 2.96, 90, 90, 90]
    ),
    "srtio3": _perovskite("Sr", "Ti", 3.905),
    "batio3": _perovskite("Ba", "Ti", 4.01),
    # alloys
    "cuau": _ordered(["Cu", "Cu", "Au", "Au"], 0.93, 3.96),
    "cu3au": _ordered(["Au", "Cu", "Cu", "Cu"], 1.0, 3.75),
    "ni3al": _ordered(["Al", "Ni", "Ni", "Ni"], 1.0, 3.57),
    "tial": _ordered(["Ti", "Ti", "Al", "Al"], 1.02, 4.00),
    "nial": Prototype("alloys", partial(bulk, "NiAl", "cesiumchloride", a=2.89, cubic=True)),
    "almg-random": _random("Al", "fcc", 4.12, {"Al": 0.8, "Mg": 0.2}),
    "agau-random": _random("Au", "fcc", 4.08, {"Ag": 0.5, "Au": 0.5}),
    "cuni-random": _random("Cu", "fcc", 3.57, {"Cu": 0.5, "Ni": 0.5}),
    "sige-random": _random("Si", "diamond", 5.54, {"Si": 0.5, "Ge": 0.5}),
    # surfaces
    "copper-111": _slab(fcc111, "Cu", 4, 3.61),
    "platinum-111": _slab(fcc111, "Pt", 4, 3.92),
    "aluminium-100": _slab(fcc100, "Al", 4, 4.05),
    "iron-110": _slab(bcc110, "Fe", 4, 2.87),
    "silicon-111": _slab(diamond111, "Si", 6, 5.43),
    "nacl-100": _rock_salt_slab("NaCl", 5.64),
    "mgo-100": _rock_salt_slab("MgO", 4.21),
    "co-on-platinum": Prototype("surfaces", _carbon_monoxide_on_platinum),
    # molecules
    "water": _molecule("H2O"),
    "ammonia": _molecule("NH3"),
    "methane": _molecule("CH4"),
    "ethane": _molecule("C2H6"),
    "ethylene": _molecule("C2H4"),
    "methanol": _molecule("CH3OH"),
    "ethanol": _molecule("CH3CH2OH"),
    "formaldehyde": _molecule("H2CO"),
    "formic-acid": _molecule("HCOOH"),
    "acetic-acid": _molecule("CH3COOH"),
    "acetamide": _molecule("CH3CONH2"),
    "benzene": _molecule("C6H6"),
    "pyridine": _molecule("C5H5N"),
}
