"""Golden structures: what a deployed model is checked on, with the family's own results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers, chemical_symbols, covalent_radii, reference_states

from irrepress.core.errors import UserError
from irrepress.core.model import Model
from irrepress.data.store import StructureStore

GOLDEN = "golden.extxyz"
# Larger ones would make a check on a CPU slow.
_MOST_ATOMS = 200
# Of structures that are made: sizes relative to bond lengths, and eV/Å.
_SCALES = (1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0)
_MODERATE = 20.0
# Fractions of the largest energy per atom, force and stress, and floors in eV/atom, eV/Å and
# eV/Å^3: round-off in float32 of other kernels and splines of radial functions, far below what a
# wrong element or order of the stress does.
_RELATIVE = {"energy": 2e-7, "forces": 1e-4, "stress": 1e-4}
_FLOORS = {"energy": 2e-5, "forces": 2e-4, "stress": 2e-5}


def choose_structures(store: StructureStore, count: int) -> list[Atoms]:
    """Choose golden structures of a store, spread evenly over those that are small enough.

    Args:
        store: structures, with or without labels.
        count: largest number of structures.

    Raises:
        UserError: none is small enough.

    Example:
        >>> [len(atoms) for atoms in choose_structures(store, 2)]
        [2, 2]
    """
    small = np.flatnonzero(store.num_atoms <= _MOST_ATOMS)
    if not len(small):
        raise UserError(
            f"deploy: all structures to check on have more than {_MOST_ATOMS} atoms; give smaller "
            "ones, as they are checked on every machine"
        )
    places = np.linspace(0, len(small) - 1, min(count, len(small))).round().astype(int)
    return [store[int(small[place])].without_labels().to_atoms() for place in places]


def made_structures(model: Model, calculator: Calculator) -> list[Atoms]:
    """Return rattled structures of the elements that a model knows.

    They are a crystal of one element, a rock salt of two in a strained and skewed cell, and a
    cluster of it without periodicity. Atoms are as close as the model bears: where it was not
    trained on such crystals, they are spread until its forces are moderate.

    Args:
        model: the model.
        calculator: its family's own calculator.

    Example:
        >>> from irrepress.core.calculator import ModelCalculator
        >>> made = made_structures(model, ModelCalculator(model))
        >>> [atoms.get_chemical_formula() for atoms in made]
        ['Si8', 'Na4Si4', 'Na4Si4']
    """
    known = list(model.elements)
    first = _preferred(known, ("Si", "C", "O"))
    second = _preferred([z for z in known if z != first] or known, ("Na", "H", "Ge", "Cl"))
    # Rock salt in which neither unlike nor like atoms are closer than bonds of them.
    radii = [float(covalent_radii[number]) for number in (first, second)]
    length = max(2.2 * sum(radii), 1.4 * 2**0.5 * 2 * max(radii))
    salt = bulk("NaCl", "rocksalt", a=length, cubic=True)
    salt.numbers = [second if z == 11 else first for z in salt.numbers]
    strain = np.array([[1.01, 0.02, 0.0], [0.0, 0.99, 0.01], [0.01, 0.0, 1.02]])
    salt.set_cell(np.array(salt.cell) @ strain, scale_atoms=True)
    cluster = Atoms(salt.numbers, positions=salt.positions)
    return [
        _spread(atoms, calculator, seed)
        for seed, atoms in enumerate((_element(first), salt, cluster))
    ]


def _spread(atoms: Atoms, calculator: Calculator, seed: int) -> Atoms:
    """Return a rattled copy, as dense as it can be with moderate forces."""
    for scale in _SCALES:
        cell, positions = scale * np.array(atoms.cell), scale * atoms.positions
        copy = Atoms(atoms.numbers, positions=positions, cell=cell, pbc=atoms.pbc)
        copy.rattle(0.1, seed=seed)
        calculator.calculate(copy, ["energy", "forces"])
        if np.abs(calculator.results["forces"]).max() < _MODERATE:
            break
    return copy


def write_golden(path: Path, structures: Sequence[Atoms], calculator: Calculator) -> list[Atoms]:
    """Write structures with a calculator's energies, forces and, of crystals, stress.

    They are computed on what the file holds, whose numbers are rounded.

    Args:
        path: the file, an extended XYZ.
        structures: the structures.
        calculator: the family's own calculator.

    Returns:
        What the file holds.

    Raises:
        UserError: a result is not finite.
    """
    ase.io.write(path, list(structures), format="extxyz")
    found = read_golden(path)
    for place, atoms in enumerate(found):
        asked = ["energy", "forces"] + ["stress"] * bool(atoms.pbc.all())
        calculator.calculate(atoms, asked)
        results: dict[str, Any] = {
            name: np.array(calculator.results[name], float) for name in asked
        }
        if not all(np.all(np.isfinite(value)) for value in results.values()):
            raise UserError(
                f"deploy: what the model predicts of structure {place} "
                f"({atoms.get_chemical_formula()}) is not finite; deploy a model that predicts it, "
                "or check it on other structures (--check)"
            )
        results["energy"] = float(results["energy"])
        atoms.calc = SinglePointCalculator(atoms, **results)
    ase.io.write(path, found, format="extxyz")
    return read_golden(path)


def read_golden(path: Path) -> list[Atoms]:
    """Return the golden structures of a deployment, with their results."""
    return list(ase.io.iread(path, ":", format="extxyz"))


def tolerance(golden: Sequence[Atoms]) -> dict[str, float]:
    """Return the largest differences that a check allows, in the units of deployments.

    Args:
        golden: the structures with their results.
    """
    found = dict(_FLOORS)
    for quantity, fraction in _RELATIVE.items():
        sizes = [
            float(np.abs(atoms.calc.results[quantity]).max())
            / (len(atoms) if quantity == "energy" else 1)
            for atoms in golden
            if quantity in atoms.calc.results
        ]
        found[quantity] += fraction * float(max(sizes, default=0.0))
    return found


def _preferred(numbers: Sequence[int], symbols: Sequence[str]) -> int:
    """Return the first of the elements that is known, else the largest atom."""
    for number in (atomic_numbers[symbol] for symbol in symbols):
        if number in numbers:
            return number
    return max(numbers, key=lambda z: covalent_radii[z])


def _element(number: int) -> Atoms:
    """Return the cubic cell of an element, in the structure that it has if that is a simple one."""
    state: dict[str, Any] = reference_states[number] or {}
    kind = state.get("symmetry")
    if kind in ("fcc", "bcc", "diamond", "sc") and "a" in state:
        return bulk(chemical_symbols[number], kind, a=float(state["a"]), cubic=True)
    return bulk(chemical_symbols[number], "fcc", a=2.9 * covalent_radii[number], cubic=True)
