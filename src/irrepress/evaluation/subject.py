"""The choice of the structure that a model's symmetries and forces are checked on.

The checks compare forces, so they are meaningless if all forces vanish, as for an atom without
neighbours or a crystal whose symmetry forbids them.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from irrepress.core.model import Model
from irrepress.core.neighbours import neighbour_list
from irrepress.core.structure import Structure
from irrepress.data.store import StructureStore
from irrepress.evaluation.checks import CheckedStructure
from irrepress.evaluation.predictions import Failures, label
from irrepress.evaluation.timing import reference_crystal

# eV/Å. In crystals at rest, large contributions cancel and leave small forces dominated by
# round-off; a force of this size is large enough not to be.
ENOUGH = 0.1
# Number of small structures to try.
_TRIED = 8
_STRAIN = 0.02
_DISPLACEMENT = 0.1  # Å


def choose_subject(
    model: Model, store: StructureStore, *, split: str = "test", seed: int = 0
) -> tuple[Structure, CheckedStructure]:
    """Choose a small structure with edges and forces, or construct one.

    Round-off and time grow with size, so the smallest structures of the split with at least two
    atoms are tried, and the first one whose largest force reaches `ENOUGH` is used. If there is
    none, the smallest one is repeated, strained and rattled.

    Args:
        model: a float64 model on the CPU.
        store: structures whose elements the model knows.
        split: the split to choose from.
        seed: seed for strain and displacements.

    Returns:
        The structure and a record of it.

    Raises:
        UserError: if the split is empty.
    """
    indices = sorted(map(int, store.require(split)), key=lambda i: (int(store.num_atoms[i]), i))
    several = [i for i in indices if store.num_atoms[i] > 1]
    found = []
    for index in several[:_TRIED]:
        source = f"structure {index} of {Path(store.path).stem} ({split} split)"
        found.append(_look_at(model, store[index], source, ""))
        if _force(found[-1]) >= ENOUGH:
            return found[-1]
    source = f"structure {indices[0]} of {Path(store.path).stem} ({split} split)"
    made, changes = _disturbed(store[indices[0]], seed)
    if not len(neighbour_list(made, model.cutoff)):
        known = [z for z in store.elements if z in model.elements]
        made, changes = _crystal(known, model.cutoff)
        source = "made: the split has no structure with edges"
    found.append(_look_at(model, made, source, changes))
    return max(found, key=_force)


def _look_at(
    model: Model, structure: Structure, source: str, changes: str
) -> tuple[Structure, CheckedStructure]:
    edges = len(neighbour_list(structure, model.cutoff))
    largest = 0.0
    if edges:
        predicted = next(label(model, [structure], batch_size=1, failures=Failures()))
        largest = float(np.abs(predicted.forces).max())
    formula = structure.to_atoms().get_chemical_formula(empirical=False)
    record = CheckedStructure(
        source=source,
        changes=changes,
        formula=formula,
        atoms=len(structure),
        edges=edges,
        largest_force=largest if np.isfinite(largest) else None,
    )
    return structure, record


def _force(found: tuple[Structure, CheckedStructure]) -> float:
    return found[1].largest_force or 0.0


def _disturbed(structure: Structure, seed: int) -> tuple[Structure, str]:
    """Return a structure of at least two atoms out of equilibrium, and how it was changed."""
    rng = np.random.default_rng(seed)
    atoms = structure.without_labels().to_atoms()
    changes = []
    if len(atoms) == 1 and atoms.pbc.any():
        lengths = np.where(atoms.pbc, atoms.cell.lengths(), np.inf)
        repeats = [1, 1, 1]
        repeats[int(lengths.argmin())] = 2
        atoms = atoms.repeat(repeats)
        changes.append("repeated " + " x ".join(map(str, repeats)))
    if atoms.pbc.any():
        strain = rng.uniform(-_STRAIN, _STRAIN, (3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        changes.append(f"strained by up to {100 * _STRAIN:g} %")
    atoms.positions += rng.normal(scale=_DISPLACEMENT, size=atoms.positions.shape)
    changes.append(f"atoms moved by {_DISPLACEMENT:g} Å at random (seed {seed})")
    return Structure.unlabelled(atoms), ", ".join(changes)


def _crystal(elements: Sequence[int], cutoff: float) -> tuple[Structure, str]:
    """Return a rattled diamond crystal, for structures without neighbours such as single atoms."""
    crystal = reference_crystal(elements, 8)
    # Nearest neighbours are a quarter of the cubic cell's diagonal apart.
    nearest = np.sqrt(3) / 4 * np.linalg.norm(crystal.cell[0])
    scale = min(1.0, 0.7 * cutoff / nearest)
    crystal = replace(crystal, positions=scale * crystal.positions, cell=scale * crystal.cell)
    return crystal, "diamond crystal, atoms moved by 0.05 Å at random"
