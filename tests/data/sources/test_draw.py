"""Structures that are drawn from others: what they are, their groups and splits."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
from ase.build import bulk, fcc111, molecule
from ase.data import covalent_radii
from ase.spacegroup import crystal
from samples import assert_same

from irrepress.catalogue.model_ref import ModelRef
from irrepress.core.errors import UserError
from irrepress.core.structure import Structure
from irrepress.data.geometry import closeness
from irrepress.data.sources.config import Defective, Relaxed, Squeezed, Strained, Substituted
from irrepress.data.sources.defects import slab, voids
from irrepress.data.sources.draw import draw
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store
from irrepress.evaluation.predictions import label

KINDS = {
    "strained": Strained,
    "defective": Defective,
    "substituted": Substituted,
    "relaxed": Relaxed,
    "squeezed": Squeezed,
}
ELEMENTS = [1, 3, 6, 8, 9, 11, 14, 17, 19, 29, 32, 35, 47]


def settings(source, **changes):
    labels = ModelRef(family="sevennet", checkpoint="7net-0")
    return KINDS[source](source=source, of="mine", labels=labels, **changes)


def quartz():
    basis = [(0.4697, 0, 2 / 3), (0.4135, 0.2669, 0.7858)]
    cell = [4.916, 4.916, 5.4054, 90, 90, 120]
    return crystal(["Si", "O"], basis=basis, spacegroup=154, cellpar=cell)


@pytest.fixture
def drawn(tmp_path, info, request):
    """Draw structures from some atoms."""

    def make(parents, source, **changes):
        if source == "substituted":
            pytest.importorskip("pymatgen", reason="pymatgen has Pettifor's scale")
        path = tmp_path / "mine.h5"
        structures = [Structure.unlabelled(each) for each in parents]
        write_store(path, structures, info, {"train": range(len(structures))}, 0)
        model = SimpleNamespace(elements=ELEMENTS)
        if source in ("relaxed", "squeezed"):
            model = request.getfixturevalue("sevennet_0")
        return draw(StructureStore(path), settings(source, **changes), "drawn", model)

    return make


@pytest.mark.parametrize("source", KINDS)
def test_draws_are_the_same_every_time_and_know_their_parents(drawn, source):
    parents = [bulk("NaCl", "rocksalt", a=5.64), quartz(), bulk("Si")]
    chosen = drawn(parents, source, count=10, atoms=16)
    structures, again = list(chosen), list(chosen)
    assert len(structures) == len(chosen) == 10
    for one, other in zip(structures, again, strict=True):
        assert_same(one, other)
    assert {each.group for each in structures} == {"mine/0", "mine/1", "mine/2"}
    assert chosen.split.by == "group"
    assert all(np.isnan(each.energy) and closeness(each.to_atoms()) > 0.35 for each in structures)
    other = next(iter(drawn(parents, source, count=10, atoms=16, seed=1)))
    assert not np.array_equal(other.positions, structures[0].positions)


def test_strains_are_evenly_spaced_along_each_deformation(drawn):
    chosen = drawn([bulk("Cu", cubic=True)], "strained", count=15, strain=0.06, rattle=0, atoms=4)
    cells = np.array([each.cell for each in chosen]) / 3.61 - np.eye(3)
    hydrostatic, uniaxial, shear = cells[::3], cells[1::3], cells[2::3]
    spaced = np.linspace(-0.06, 0.06, 5)
    assert np.allclose(hydrostatic, spaced[:, None, None] * np.eye(3))
    for step in range(5):
        expected = np.zeros((3, 3))
        expected[step % 3, step % 3] = spaced[step]
        assert np.allclose(uniaxial[step], expected)
        assert np.allclose(np.diag(shear[step]), 0) and np.allclose(shear[step], shear[step].T)
        assert np.abs(shear[step]).max() == pytest.approx(abs(spaced[step]))


def test_many_parents_begin_with_different_kinds(drawn):
    """With fewer structures than parents, all kinds come all the same."""
    chosen = drawn([bulk("Cu")] * 30, "defective", count=6, atoms=8, rattle=0)
    structures = list(chosen)
    slabs = [not each.pbc.all() for each in structures]
    assert sum(slabs) == 2 and len(chosen.parents) == 6
    sizes = [len(each) % 4 for each, flat in zip(structures, slabs, strict=True) if not flat]
    assert len(set(sizes)) == 2  # one atom less, or one more


def test_slabs_have_vacuum_and_are_only_strained_along_their_surface(drawn):
    rng = np.random.default_rng(0)
    made = [slab(Structure.unlabelled(quartz()), 60, rng) for _ in range(12)]
    kept = [atoms for atoms in made if atoms is not None]
    assert len(kept) > 3
    for atoms in kept:
        heights = (
            atoms.positions @ np.cross(*atoms.cell[:2]) / np.linalg.norm(np.cross(*atoms.cell[:2]))
        )
        thickness = np.ptp(heights)
        assert atoms.pbc.tolist() == [True, True, False] and 3 < thickness
        assert len(atoms) <= 2 * 120 and closeness(atoms) > 0.6
        assert len(atoms) % 9 == 0  # layers of whole cells
    (strained, *_) = drawn([fcc111("Cu", (2, 2, 3), vacuum=8)], "strained", count=3, rattle=0)
    flat = fcc111("Cu", (2, 2, 3), vacuum=8)
    assert np.ptp(strained.positions[:, 2]) == pytest.approx(np.ptp(flat.positions[:, 2]))


def test_voids_of_a_cubic_crystal_are_its_octahedral_sites():
    atoms = bulk("Cu", cubic=True)
    found = np.unique(np.round(voids(atoms) / 3.61 * 2).astype(int) % 2, axis=0)
    assert found.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 1, 1]]


def test_elements_are_replaced_by_similar_ones_that_the_model_knows(drawn):
    salt = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    structures = list(drawn([salt], "substituted", count=40, atoms=8, distance=0.1, strain=0))
    seen = {tuple(sorted(set(each.numbers.tolist()))) for each in structures}
    assert all(len(pair) == 2 and pair != (11, 17) for pair in seen)
    elements = {number for pair in seen for number in pair}
    assert elements <= {11, 17, 3, 19, 9, 35} and {19, 35} & elements
    # Potassium is larger than sodium, lithium smaller.
    lengths = {frozenset(e.numbers.tolist()): e.cell[0, 0] for e in structures}
    for pair, length in lengths.items():
        if pair == {19, 17}:
            assert length > 5.64
        if pair == {3, 17}:
            assert length < 5.64


def test_what_nothing_can_be_drawn_from_is_said(drawn, caplog):
    water = molecule("H2O")
    with caplog.at_level(logging.WARNING):
        chosen = drawn([water, bulk("Si")], "strained", count=4)
    assert "1 of 2 structures of mine are left out: they have no periodic direction" in caplog.text
    assert "1 parents are too few to keep what is drawn from each in one split" in caplog.text
    assert chosen.split.by == "structure" and len(list(chosen)) == 4
    with pytest.raises(UserError, match="no structure of mine is left"):
        drawn([water], "defective")
    with pytest.raises(UserError, match="2 structures are too few for the splits"):
        drawn([bulk("Si")], "defective", count=2)


def test_structures_that_overlap_are_redrawn_and_counted(drawn, caplog):
    chosen = drawn([bulk("Cu")], "strained", count=6, strain=0.3, rattle=0.9, atoms=8)
    with caplog.at_level(logging.INFO):
        structures = list(chosen)
    assert chosen.redrawn > 0
    assert f"{chosen.redrawn} draws had overlapping atoms and were redrawn" in caplog.text
    assert all(closeness(each.to_atoms()) > 0.55 for each in structures)


def test_relaxed_structures_are_on_their_way_to_rest(drawn, sevennet_0):
    def largest(structures):
        forces = [each.forces for each in label(sevennet_0, structures)]
        return np.array([np.linalg.norm(each, axis=1).max() for each in forces])

    amplitudes = {"count": 8, "atoms": 8, "rattle": 0.3, "strain": 0.02}
    parents = [bulk("Si", cubic=True)]
    few = list(drawn(parents, "relaxed", rounds=1, steps=1, **amplitudes))
    many = list(drawn(parents, "relaxed", rounds=1, steps=40, **amplitudes))
    repeated = list(drawn(parents, "relaxed", rounds=2, steps=1, **amplitudes))
    # The same draws, relaxed for longer.
    assert all(np.array_equal(a.cell, b.cell) for a, b in zip(few, many, strict=True))
    assert largest(many).mean() < 0.7 * largest(few).mean()
    cells = np.array([each.cell for each in few]) / 5.43 - np.eye(3)
    assert 0.005 < np.abs(cells).max() <= 0.02
    for number, (once, again) in enumerate(zip(few, repeated, strict=True)):
        assert np.array_equal(once.positions, again.positions) == (number % 2 == 0)


def test_a_relaxation_that_breaks_is_drawn_again(drawn, sevennet_0, monkeypatch):
    chosen = drawn([bulk("Si")], "relaxed", count=3, steps=1)
    forces, calls = chosen.calculator.get_forces, []

    def broken(atoms):
        calls.append(atoms)
        return np.full((len(atoms), 3), np.nan) if len(calls) == 1 else forces(atoms)

    monkeypatch.setattr(chosen.calculator, "get_forces", broken)
    assert len(list(chosen)) == 3 and chosen.redrawn == 1


def test_squeezed_pairs_are_close_and_pushed_apart(drawn, sevennet_0):
    chosen = drawn([bulk("NaCl", "rocksalt", a=5.64)], "squeezed", count=24, atoms=16, rattle=0.0)
    structures = list(chosen)
    alone = [each for each in structures if not each.pbc.any()]
    assert len(alone) == 12 and all(len(each) == 2 for each in alone)
    assert {tuple(sorted(each.numbers)) for each in alone} == {(11, 11), (11, 17), (17, 17)}
    shares = np.array([closeness(each.to_atoms()) for each in structures])
    assert 0.45 < shares.min() < 0.7 and shares.max() <= 1.0
    for each in label(sevennet_0, alone):
        apart = each.positions[1] - each.positions[0]
        share = np.linalg.norm(apart) / covalent_radii[each.numbers].sum()
        assert (each.forces[1] - each.forces[0]) @ apart > 0 or share > 0.8


def test_a_pair_that_the_model_pulls_together_is_drawn_less_close(drawn, monkeypatch):
    chosen = drawn([bulk("Si")], "squeezed", count=3, kinds=["alone"], closest=0.5)

    def pulled(atoms, asked):
        forces = [[1.0, 0, 0], [-1.0, 0, 0]]
        chosen.calculator.results = {"forces": np.array(forces)}

    monkeypatch.setattr(chosen.calculator, "calculate", pulled)
    structures = list(chosen)
    assert all(closeness(each.to_atoms()) > 0.8 for each in structures)
    assert chosen.redrawn > 0
