"""Checks of labelled structures."""

from collections.abc import Iterable, Iterator

import numpy as np
from ase.cell import Cell
from ase.data import chemical_symbols, covalent_radii
from ase.units import Hartree

from irrepress.core.errors import UserError
from irrepress.core.structure import Structure
from irrepress.data.config import Units
from irrepress.data.geometry import cell_heights, closest_pair
from irrepress.data.units import ENERGY
from irrepress.data.unlabelled import remarks_on_unlabelled

# Beyond these limits a value is a mistake. All-electron energies of the heaviest elements are
# below 8e5 eV/atom; the frames of MPtrj with the highest stress have 202 eV/Å and 11 eV/Å^3.
MAX_ENERGY_PER_ATOM = 1e6  # eV
MAX_FORCE = 1e3  # eV/Å
MAX_STRESS = 100.0  # eV/Å^3
MIN_DISTANCE = 0.3  # Å; the bond of H2 has 0.74 Å
MIN_HEIGHT = 2 * MIN_DISTANCE  # Å between opposite faces of a periodic cell; MPtrj has 0.94
# An atom further than this from its images is isolated; nearest neighbours in caesium are 5.2 Å
# apart.
ALONE = 6.0  # Å

# Bond lengths agree with covalent radii within a third; in Bohr they are 1.89 times as large.
_LOOSE = 1.6
_MOST_LOOKED_AT = 1000  # atoms

# Beyond this a crystal is under 160 GPa, or the stress is in GPa, kbar or a virial.
_HIGH_STRESS = 1.0  # eV/Å^3

# Units in which codes print total energies.
_TOTAL_ENERGY = ("Hartree", "Ry", "kcal/mol", "kJ/mol", "eV")


def check_structure(structure: Structure, where: str) -> None:
    """Check geometry and labels of one structure.

    Args:
        structure: the structure; missing labels (all NaN) are not checked.
        where: file and frame, with which the message begins.

    Raises:
        UserError: if it has no atoms, a dummy atom, a cell without volume, overlapping atoms, or a
            label that is not finite or unreasonably large.
    """
    _check_geometry(structure, where)
    _check_labels(structure, where)


def checked(structures: Iterable[Structure], where: str) -> Iterator[Structure]:
    """Yield structures as long as they pass `check_structure`.

    Args:
        structures: any iterable.
        where: what messages begin with, before the structure's number and group.

    Raises:
        UserError: as `check_structure`.
    """
    for index, structure in enumerate(structures):
        check_structure(structure, f"{where}: structure {index}, {structure.group or 'no group'}")
        yield structure


def remarks_on(structure: Structure) -> Iterator[str]:
    """Yield remarks on a structure that is unusual but not wrong."""
    if len(structure) == 1 and is_alone(structure):
        yield (
            "single atom far from its images, not marked as isolated (config_type=IsolatedAtom), "
            "read as a structure"
        )
    if not structure.pbc.all() and not np.isnan(structure.stress[0]):
        yield (
            "stress of a structure that is not periodic in three directions, which training and "
            "evaluation do not use"
        )
    if structure.energy == 0:
        yield (
            "energy of exactly zero, which looks like a placeholder; such a label should have no "
            "weight"
        )
    if np.isnan(structure.energy) and np.isnan(structure.forces).all():
        yield from remarks_on_unlabelled(structure)
    if not structure.stress.any() and structure.forces.any():
        yield "stress of exactly zero with nonzero forces, which looks like a placeholder"


def is_alone(structure: Structure) -> bool:
    """Return whether a single atom has no periodic image within `ALONE`."""
    if not structure.pbc.any():
        return True
    cell = structure.cell
    if not cell.any(axis=1).all():
        cell = Cell(cell).complete().array
    return bool(cell_heights(cell)[structure.pbc].min() > ALONE)


def check_elements(store_elements: Iterable[int], model_elements: Iterable[int], what: str) -> None:
    """Check that a model knows every element of a dataset.

    Args:
        store_elements: atomic numbers of the dataset.
        model_elements: atomic numbers that the model knows.
        what: dataset and model, with which the message begins, such as ``results/a/data/salt.h5 and
            model sevennet-0``.

    Raises:
        UserError: if the model does not know an element.
    """
    model_elements = set(model_elements)
    unknown = sorted(set(store_elements) - model_elements)
    if unknown:
        known = ", ".join(chemical_symbols[z] for z in sorted(model_elements))
        raise UserError(
            f"{what}: the model does not know {', '.join(chemical_symbols[z] for z in unknown)}; "
            f"use another model or remove these structures. It knows {known}"
        )


def unit_remarks(structure: Structure, units: Units) -> Iterator[str]:
    """Yield remarks if labels or lengths seem to be in other units.

    All-electron energies of atoms follow -0.7687 Z^(7/3) + 0.5 Z^2 - 0.2699 Z^(5/3) Hartree
    (Thomas, Fermi, Scott, Schwinger) to a few percent, and binding changes them by less. The unit
    of energies from pseudopotentials, or relative to atoms, cannot be inferred.

    Args:
        structure: a structure of the source, as it was read.
        units: the configured units of the source.
    """
    z = structure.numbers.astype(float)
    expected = np.sum(-0.768745 * z ** (7 / 3) + 0.5 * z**2 - 0.2699 * z ** (5 / 3))
    given = structure.energy / ENERGY[units.energy]
    for unit in _TOTAL_ENERGY:
        # Below Z = 3 the formula is too inaccurate, and other energies are close.
        if unit == units.energy or z.max() <= 2:
            continue
        if abs(given * ENERGY[unit] / (expected * Hartree) - 1) < 0.04:
            yield (
                f"an energy of {given:.6g} for {len(structure)} atoms looks like {unit}, not "
                f"{units.energy}; set units.energy, and units.forces with it, if so"
            )
    atomic = units.energy in ("Hartree", "Ry")
    if atomic and units.forces is None and units.length != "Bohr":
        yield (
            f"forces taken in {units.energy}/{units.length}; programs that print {units.energy} "
            f"usually print forces in {units.energy}/Bohr: set units.forces explicitly"
        )
    if units.stress == "eV/Å^3" and np.abs(structure.stress).max() > _HIGH_STRESS:
        yield (
            "a stress of more than 1 eV/Å^3 (160 GPa) looks like GPa, kbar or a virial; set "
            "units.stress if so"
        )
    if (closest := _closest_share(structure)) is not None and closest > _LOOSE:
        yield (
            f"the closest two atoms are {closest:.2g} bond lengths apart, as if positions were in "
            "Bohr; set units.length if so"
        )


def _closest_share(structure: Structure) -> float | None:
    """Return the smallest distance over the sum of covalent radii; None without close atoms."""
    radii = covalent_radii[structure.numbers]
    if len(structure) == 1 or len(structure) > _MOST_LOOKED_AT:
        return None
    pair = closest_pair(structure, 2.5 * 2 * float(radii.max()))
    if pair is None:
        return None
    first, second, distance = pair
    return distance / float(radii[first] + radii[second])


def _check_geometry(structure: Structure, where: str) -> None:
    if not len(structure):
        raise UserError(f"{where}: there are no atoms; remove the frame")
    if structure.numbers.min() < 1:
        atom = int(np.argmin(structure.numbers))
        raise UserError(f"{where}: atom {atom} is a dummy atom (X); give it an element")
    _check_finite(structure.positions, "position", "Å", where)
    if not np.all(np.isfinite(structure.cell)):
        raise UserError(f"{where}: the cell {structure.cell.tolist()} is not finite; correct it")
    if structure.pbc.any():
        given = structure.cell.any(axis=1)
        cell = structure.cell if given.all() else Cell(structure.cell).complete().array
        heights = np.where(given, cell_heights(cell), 0)
        thinnest = heights[structure.pbc].min()
        if thinnest < MIN_HEIGHT:
            raise UserError(
                f"{where}: the periodic cell {structure.cell.tolist()} is only {thinnest:.3g} Å "
                'thin; give the cell in Å, or set pbc="F F F" for a molecule'
            )
    pair = closest_pair(structure, MIN_DISTANCE)
    if pair:
        first, second, distance = pair
        raise UserError(
            f"{where}: atoms {first} and {second} are {distance:.3g} Å apart, less than "
            f"{MIN_DISTANCE} Å; check that positions are in Å and no atom is listed twice"
        )


def _check_labels(structure: Structure, where: str) -> None:
    per_atom = structure.energy / len(structure)
    if np.isinf(per_atom) or abs(per_atom) > MAX_ENERGY_PER_ATOM:
        raise UserError(
            f"{where}: an energy of {per_atom:.6g} eV/atom is absurd (limit "
            f"{MAX_ENERGY_PER_ATOM:g}); give energies in eV, or remove the frame"
        )
    if not np.all(np.isnan(structure.forces)):
        _check_finite(structure.forces, "force", "eV/Å", where)
        lengths = np.linalg.norm(structure.forces, axis=1)
        atom = int(np.argmax(lengths))
        if lengths[atom] > MAX_FORCE:
            raise UserError(
                f"{where}: a force of {lengths[atom]:.6g} eV/Å on atom {atom} is absurd (limit "
                f"{MAX_FORCE:g}); give forces in eV/Å, or remove the frame"
            )
    if not np.all(np.isnan(structure.stress)):
        largest = np.max(np.abs(structure.stress))
        if not largest <= MAX_STRESS:
            raise UserError(
                f"{where}: a stress of {largest:.6g} eV/Å^3 is absurd (limit {MAX_STRESS:g}); "
                "give stress in eV/Å^3 (1 GPa is 0.006242), or remove the frame"
            )


def _check_finite(values: np.ndarray, name: str, unit: str, where: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise UserError(
            f"{where}: the {name} of atom {bad[0]} is {values[bad[0]].tolist()} {unit}; correct or "
            "remove the frame"
        )
