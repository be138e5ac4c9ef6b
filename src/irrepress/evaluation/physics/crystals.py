"""Relaxed structures, equations of state, elastic constants and phonons beside the parent's."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import FixSymmetry
from ase.data import covalent_radii
from ase.filters import FrechetCellFilter
from ase.neighborlist import neighbor_list
from ase.optimize import BFGS

from irrepress.evaluation.physics.case import Case, Found, NotDone, Values, has_stress
from irrepress.evaluation.physics.config import ValidationSettings

# eV/Å, and the largest number of steps.
_FMAX, _STEPS = 0.01, 300
# Symmetry is found within this distance in Å.
_SYMMETRY = 1e-3
# Two atoms are neighbours within this many times the sum of their covalent radii.
_NEIGHBOURS = 1.3
# A structure that a model relaxes into another one: shares of the volume and of the pairs of
# neighbours that change.
_OTHER_VOLUME, _OTHER_NEIGHBOURS = 0.15, 0.3
# Strains of lengths for the equation of state, and their number; further settings of matcalc.
_STRAIN, _POINTS = 0.03, 7
_STRAINS = (-0.01, -0.005, 0.005, 0.01)
# Å. Supercells for phonons become no longer than this.
_LONGEST = 12.0


def measure_relaxed(case: Case) -> Values:
    """Relax positions, and the cell of a crystal with its symmetry kept."""
    atoms = case.copy()
    periodic = has_stress(atoms)
    if periodic:
        atoms.set_constraint(FixSymmetry(atoms, symprec=_SYMMETRY))
    first, second, shifts = _neighbours(atoms)
    volume = float(atoms.get_volume()) if periodic else None
    moved: Any = FrechetCellFilter(atoms) if periodic else atoms
    optimizer = BFGS(moved, logfile=None, maxstep=0.1)
    converged = optimizer.run(fmax=_FMAX, steps=_STEPS)
    bonds = atoms.positions[second] - atoms.positions[first] + shifts @ np.array(atoms.cell)
    before, after = _pairs(first, second, shifts), _pairs(*_neighbours(atoms))
    return {
        "neighbours_changed": len(before ^ after) / max(1, len(before | after)),
        "volume_changed": atoms.get_volume() / volume - 1 if volume else 0.0,
        "cell": np.array(atoms.cell).tolist(),
        "positions": atoms.positions.tolist(),
        "converged": bool(converged),
        "lengths": atoms.cell.lengths().tolist(),
        "angles": atoms.cell.angles().tolist(),
        "volume": float(atoms.get_volume()) if periodic else None,
        "bonds": np.linalg.norm(bonds, axis=1).tolist(),
    }


def judge_relaxed(
    own: Values, parents: Mapping[str, Values], settings: ValidationSettings
) -> Iterator[Found]:
    """Yield the verdicts on bonds and cell."""
    parent, tolerances = parents["relaxed"], settings.tolerances
    told = [
        f"{who} is not converged after {_STEPS} steps"
        for who, values in (("it", own), ("the parent", parent))
        if not values["converged"]
    ]
    volume, neighbours = parent["volume_changed"], parent["neighbours_changed"]
    if abs(volume) > _OTHER_VOLUME or neighbours > _OTHER_NEIGHBOURS:
        told.append(
            f"the parent relaxes it into another structure (volume {100 * volume:+.0f} %, "
            f"{100 * neighbours:.0f} % of the neighbours are others); give one that is relaxed"
        )
    remark = "; ".join(told)
    if parent["bonds"]:
        difference = np.abs(np.array(own["bonds"]) - parent["bonds"]).mean()
        yield Found("relaxed bonds", float(difference), "Å", tolerances.bonds, remark)
    if parent["volume"] is None:
        return
    lengths = 100 * (np.array(own["lengths"]) / parent["lengths"] - 1)
    change = 100 * (own["volume"] / parent["volume"] - 1)
    yield Found(
        "relaxed cell, lengths",
        float(np.abs(lengths).max()),
        "%",
        tolerances.cell,
        "; ".join([f"volume {change:+.2g} %", *told]),
    )
    angles = np.abs(np.array(own["angles"]) - parent["angles"]).max()
    yield Found("relaxed cell, angles", float(angles), "°", tolerances.angles, remark)


def _neighbours(atoms: Atoms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return both atoms of every pair of neighbours, and the cells between them."""
    return neighbor_list("ijS", atoms, _NEIGHBOURS * covalent_radii[atoms.numbers])


def _pairs(first: np.ndarray, second: np.ndarray, shifts: np.ndarray) -> set[tuple[int, ...]]:
    return set(map(tuple, np.column_stack([first, second, shifts]).tolist()))


def measure_eos(case: Case) -> Values:
    """Fit the equation of state of Birch and Murnaghan, with atoms relaxed in every cell."""
    from matcalc import EOSCalc

    atoms = case.relaxed()
    found = EOSCalc(
        case.calculator,
        optimizer="BFGS",
        max_steps=60,
        max_abs_strain=_STRAIN,
        n_points=_POINTS,
        fmax=0.02,
        allow_shape_change=False,
        relax_structure=False,
    ).calc(atoms)
    energies = np.array(found["eos"]["energies"])
    return {
        "bulk_modulus": float(found["bulk_modulus_bm"]),
        "volumes": (np.array(found["eos"]["volumes"]) / len(atoms)).tolist(),
        "energies": ((energies - energies.min()) / len(atoms)).tolist(),
    }


def judge_eos(
    own: Values, parents: Mapping[str, Values], settings: ValidationSettings
) -> Iterator[Found]:
    """Yield the verdict on the bulk modulus."""
    value, before = own["bulk_modulus"], parents["eos"]["bulk_modulus"]
    if before <= 0:
        yield Found("bulk modulus", None, remark=f"the parent's is {before:.3g} GPa")
        return
    yield Found(
        "bulk modulus",
        100 * (value / before - 1),
        "%",
        settings.tolerances.bulk_modulus,
        f"{value:.4g} GPa, the parent {before:.4g}",
    )


def measure_elasticity(case: Case) -> Values:
    """Compute elastic constants in GPa from stresses, with the atoms following the strain."""
    from matcalc import ElasticityCalc

    found = ElasticityCalc(
        case.calculator,
        norm_strains=_STRAINS,
        shear_strains=_STRAINS,
        relax_structure=False,
        units_GPa=True,
    ).calc(case.relaxed())
    return {
        "constants": np.array(found["elastic_tensor"].voigt).tolist(),
        "shear_modulus": float(found["shear_modulus_vrh"]),
    }


def judge_elasticity(
    own: Values, parents: Mapping[str, Values], settings: ValidationSettings
) -> Iterator[Found]:
    """Yield the verdict on all constants."""
    parent = parents["elasticity"]
    one, other = np.array(own["constants"]), np.array(parent["constants"])
    # Constants that symmetry makes zero do not count.
    counted = np.abs(other) > 0.01 * np.abs(other).max()
    difference = np.abs(one - other)[counted].mean() / np.abs(other)[counted].mean()
    yield Found(
        "elastic constants",
        100 * float(difference),
        "%",
        settings.tolerances.elastic,
        f"ions clamped; shear modulus {own['shear_modulus']:.3g} GPa, the parent "
        f"{parent['shear_modulus']:.3g}",
    )


def phonon_repeats(atoms: Atoms, most: int) -> list[int]:
    """Return how often a cell is repeated for phonons, the shortest direction first.

    Args:
        atoms: the cell.
        most: largest number of atoms.

    Example:
        >>> from ase.build import bulk
        >>> phonon_repeats(bulk("Si", cubic=True), 70)
        [2, 2, 2]
    """
    lengths = atoms.cell.lengths()
    repeats = np.ones(3, dtype=int)
    while True:
        shortest = lengths * repeats
        grown = repeats + (shortest <= shortest.min() * 1.01)
        if len(atoms) * grown.prod() > most or shortest.min() >= _LONGEST:
            return repeats.tolist()
        repeats = grown


def measure_phonons(case: Case) -> Values:
    """Compute phonon frequencies in THz at the points that a supercell holds.

    Raises:
        NotDone: the cell has more atoms than the settings allow, or more displacements than there
            is time for.
    """
    from phonopy import Phonopy
    from phonopy.harmonic.dynmat_to_fc import get_commensurate_points
    from phonopy.structure.atoms import PhonopyAtoms

    atoms = case.relaxed()
    if len(atoms) > case.settings.phonon_atoms:
        raise NotDone(
            f"the cell has {len(atoms)} atoms, more than phonon_atoms: {case.settings.phonon_atoms}"
        )
    repeats = phonon_repeats(atoms, case.settings.phonon_atoms)
    phonons = Phonopy(
        PhonopyAtoms(
            numbers=atoms.numbers,
            cell=np.array(atoms.cell),
            scaled_positions=atoms.get_scaled_positions(),
        ),
        supercell_matrix=np.diag(repeats),
        primitive_matrix="P",
        symprec=_SYMMETRY,
        log_level=0,
    )
    phonons.generate_displacements(distance=0.01)
    forces: list[np.ndarray] = []
    supercells = phonons.supercells_with_displacements or ()
    begin = case.clock.spent
    for displaced in supercells:
        pace = (case.clock.spent - begin) / max(1, len(forces))
        if pace * (len(supercells) - len(forces)) > case.clock.left:
            raise NotDone(
                f"its share of the time limit, {case.clock.seconds:.0f} s, does not suffice for "
                f"{len(supercells)} displacements of {pace:.2g} s in supercells of "
                f"{len(displaced.numbers)} atoms"
            )
        moved = case.copy(
            Atoms(displaced.numbers, displaced.positions, cell=displaced.cell, pbc=True)
        )
        forces.append(moved.get_forces())
    phonons.forces = np.array(forces)
    phonons.produce_force_constants()
    phonons.symmetrize_force_constants()
    points = get_commensurate_points(np.diag(repeats))
    frequencies = np.sort(phonons.run_qpoints(points).frequencies, axis=1)
    return {"repeats": repeats, "points": len(points), "frequencies": frequencies.tolist()}


def judge_phonons(
    own: Values, parents: Mapping[str, Values], settings: ValidationSettings
) -> Iterator[Found]:
    """Yield the verdicts on frequencies and on imaginary modes."""
    parent = parents["phonons"]
    one, other = np.array(own["frequencies"]), np.array(parent["frequencies"])
    where = f"{own['points']} points of a {'x'.join(map(str, own['repeats']))} supercell"
    yield Found(
        "phonon frequencies",
        100 * float(np.abs(one - other).mean() / np.abs(other).mean()),
        "%",
        settings.tolerances.phonons,
        f"{where}, mean {np.abs(other).mean():.3g} THz",
    )
    limit = -settings.tolerances.imaginary
    # Frequencies of a point are sorted: the lowest ones are compared with the lowest ones.
    lacking = (one < limit) & (other >= limit)
    remark = f"lowest {one.min():.2g} THz, the parent {other.min():.2g}"
    if count := int((other < limit).sum()):
        remark += f"; {count} of the parent: the structure is not stable with it"
    yield Found(
        "imaginary modes that the parent lacks",
        int(lacking.sum()),
        "",
        None,
        remark,
        judged=not lacking.any(),
    )
