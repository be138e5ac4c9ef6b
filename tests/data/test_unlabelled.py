"""Structures without labels that look faulty are told of, and sound ones are not."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene, molecule
from ase.spacegroup import crystal

from irrepress.core.structure import Structure
from irrepress.data.checks import remarks_on
from irrepress.data.unlabelled import remarks_on_small_cells

HYDROGEN, CLOSE = "there is no hydrogen", "atoms closer"


def told(atoms: Atoms) -> list[str]:
    return list(remarks_on(Structure.unlabelled(atoms)))


def without_hydrogen(name: str) -> Atoms:
    atoms = molecule(name)
    return atoms[atoms.numbers != 1]


@pytest.mark.parametrize("name", ["C6H6", "CH3CH2OH", "isobutane", "C2H4"])
def test_missing_hydrogen_is_told(name):
    assert told(molecule(name)) == []
    (remark,) = told(without_hydrogen(name))
    assert remark.startswith(f"{HYDROGEN}, and carbon atoms lack bonds; ")


def test_water_without_its_hydrogen_is_told():
    sites = [(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    ice = Atoms("O4", scaled_positions=sites, cell=[6, 6, 6], pbc=True)
    (remark,) = told(ice)
    assert remark.startswith(f"{HYDROGEN}, and oxygen atoms are bound to nothing, as in a hydrate")


CALCITE = crystal(
    ["Ca", "C", "O"],
    [(0, 0, 0), (0, 0, 0.25), (0.257, 0, 0.25)],
    spacegroup=167,
    cellpar=[4.99, 4.99, 17.06, 90, 90, 120],
)
SOUND = {
    "carbon dioxide": molecule("CO2"),
    "oxygen": molecule("O2"),
    "fullerene": molecule("C60"),
    "calcite": CALCITE,
    "carbide": bulk("TiC", "rocksalt", a=4.33).repeat(3),
    "graphene": graphene(size=(3, 3, 1), vacuum=5),
    "diamond": bulk("C", cubic=True).repeat(2),
    "salt": bulk("NaCl", "rocksalt", a=5.64, cubic=True),
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_structures_are_not_told_of(name):
    assert told(SOUND[name]) == []


def test_atoms_that_nearly_coincide_are_told():
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    atoms.append("Na")
    atoms.positions[-1] = atoms.positions[0] + [1.0, 0, 0]
    (remark,) = told(atoms)
    assert remark.startswith(CLOSE)


def test_small_cells_are_fine_and_told():
    structure = Structure.unlabelled(bulk("Si"))
    (remark,) = remarks_on_small_cells(structure)
    assert remark.startswith("cell thinner than 5 Å, which is fine") and "supercells" in remark
    for large in (bulk("Si", cubic=True).repeat(2), molecule("H2O")):
        assert not list(remarks_on_small_cells(Structure.unlabelled(large)))


def test_structures_with_labels_are_proved_sound():
    structure = Structure.unlabelled(without_hydrogen("C6H6"))
    assert list(remarks_on(structure))
    forces = np.zeros((6, 3))
    assert not list(remarks_on(replace(structure, energy=-10.0, forces=forces)))
