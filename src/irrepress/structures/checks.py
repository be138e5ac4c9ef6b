"""Checks of labelled structures, before they reach a model."""

import logging
from collections.abc import Iterable

import numpy as np
from ase.cell import Cell
from ase.data import chemical_symbols
from ase.units import Hartree

from irrepress.errors import UserError
from irrepress.structures.formats.units import ENERGY
from irrepress.structures.geometry import cell_heights, closest_pair
from irrepress.structures.structure import Structure

logger = logging.getLogger(__name__)

# Beyond these limits a value is a mistake. All-electron energies of the heaviest elements are
# below 8e5 eV/atom; the frames of MPtrj with the highest stress have 202 eV/Å and 11 eV/Å^3.
MAX_ENERGY_PER_ATOM = 1e6  # eV
MAX_FORCE = 1e3  # eV/Å
MAX_STRESS = 100.0  # eV/Å^3
MIN_DISTANCE = 0.3  # Å; the bond of H2 has 0.74 Å
MIN_HEIGHT = 2 * MIN_DISTANCE  # Å between opposite faces of a periodic cell; MPtrj has 0.94

# meV is none: no code prints total energies in it.
_OTHER_UNITS = {name: factor for name, factor in ENERGY.items() if name not in ("eV", "meV")}


def check_structure(structure: Structure, where: str) -> None:
    """Check geometry and labels of one structure.

    Args:
        structure: what is checked; labels that are absent (all NaN) are not.
        where: file and frame, to begin the message with.

    Raises:
        UserError: it has no atoms, a dummy atom, a cell without volume, overlapping atoms, or
            a label that is not finite or absurdly large.
    """
    _check_geometry(structure, where)
    _check_labels(structure, where)


def check_elements(store_elements: Iterable[int], model_elements: Iterable[int], what: str) -> None:
    """Check that a model knows every element of a dataset.

    Args:
        store_elements: atomic numbers of the dataset.
        model_elements: atomic numbers that the model knows.
        what: dataset and model, to begin the message with, such as
            ``results/a/data/salt.h5 and model sevennet-0``.

    Raises:
        UserError: an element is unknown to the model.
    """
    model_elements = set(model_elements)
    unknown = sorted(set(store_elements) - model_elements)
    if unknown:
        known = ", ".join(chemical_symbols[z] for z in sorted(model_elements))
        raise UserError(
            f"{what}: the model does not know {', '.join(chemical_symbols[z] for z in unknown)}; "
            f"take another model or remove these structures. It knows {known}"
        )


def warn_of_units(structure: Structure, where: str) -> None:
    """Log a warning if the energy looks like an all-electron energy in another unit than eV.

    All-electron energies of atoms follow -0.7687 Z^(7/3) + 0.5 Z^2 - 0.2699 Z^(5/3) Hartree
    (Thomas, Fermi, Scott, Schwinger) to a few percent; binding changes them by less. Energies
    from pseudopotentials, or relative to atoms, tell nothing about their unit.
    """
    z = structure.numbers.astype(float)
    expected = np.sum(-0.768745 * z ** (7 / 3) + 0.5 * z**2 - 0.2699 * z ** (5 / 3))
    for unit, in_electronvolt in _OTHER_UNITS.items():
        # Below Z = 3 the formula is too coarse, and other energies lie close.
        if (
            z.max() > 2
            and abs(structure.energy * in_electronvolt / (expected * Hartree) - 1) < 0.04
        ):
            logger.warning(
                "%s: an energy of %.6g for %d atoms looks like %s, irrepress expects eV; "
                "multiply energies and forces by %.6g if so",
                where,
                structure.energy,
                len(structure),
                unit,
                in_electronvolt,
            )


def _check_geometry(structure: Structure, where: str) -> None:
    if not len(structure):
        raise UserError(f"{where}: there are no atoms; remove the frame")
    if structure.numbers.min() < 1:
        atom = int(np.argmin(structure.numbers))
        raise UserError(f"{where}: atom {atom} is a dummy atom (X); give it an element")
    _check_finite(structure.positions, "position", "Å", where)
    if not np.all(np.isfinite(structure.cell)):
        raise UserError(f"{where}: the cell {structure.cell.tolist()} is not finite; mend it")
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
            f"{where}: the {name} of atom {bad[0]} is {values[bad[0]].tolist()} {unit}; mend or "
            "remove the frame"
        )
