"""Perturbed structures stay in their parts, are varied and physical, and the same every time."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from samples import assert_same

from irrepress.catalogue.model_ref import ModelRef
from irrepress.core.errors import UserError
from irrepress.core.structure import Structure
from irrepress.data.geometry import closeness
from irrepress.data.sources.config import Perturbed
from irrepress.data.sources.perturb import Perturbations
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store


def settings(**changes):
    labels = ModelRef(family="sevennet", checkpoint="7net-0")
    return Perturbed(source="perturbed", of="mine", labels=labels, **changes)


def originals():
    """Crystals, slabs and molecules; all but the molecules are named by their groups."""
    for index in range(4):
        yield Structure.unlabelled(bulk("Si", cubic=True).repeat((1, 1, 1 + index)), f"si{index}")
        yield Structure.unlabelled(fcc111("Cu", (2, 2, 3), vacuum=8), f"slab{index}")
        yield Structure.unlabelled(molecule("CH3CH2OH"))


@pytest.fixture
def store(tmp_path, info):
    """Twelve structures: eight to train on, two to validate, two to test."""
    split = {"train": [0, 2, 3, 4, 6, 7, 8, 11], "valid": [1, 9], "test": [5, 10]}
    write_store(tmp_path / "mine.h5", originals(), info, split, seed=0)
    return StructureStore(tmp_path / "mine.h5")


def original_of(copy, store):
    """Return the index of the structure that a copy is nearest to."""
    fitting = [i for i in range(len(store)) if np.array_equal(store[i].numbers, copy.numbers)]
    distances = [np.abs(store[i].positions - copy.positions).max() for i in fitting]
    return fitting[int(np.argmin(distances))]


def test_copies_stay_in_the_part_of_their_structure_and_test_has_none(store):
    chosen = Perturbations(store, settings(count=30, rattle=0.02, strain=0.01))
    copies = list(chosen)
    assert len(chosen) == len(copies) == 30 + 10
    assert set(chosen.splits) == {"train", "valid"}
    assert [len(chosen.splits[part]) for part in ("train", "valid")] == [32, 8]
    everything = np.concatenate([chosen.splits["train"], chosen.splits["valid"]])
    assert np.array_equal(np.sort(everything), np.arange(40))
    # Slabs and molecules come several times, so that only the crystals tell their structure.
    for part, indices in chosen.splits.items():
        groups = {copies[i].group for i in indices}
        assert groups == {store[i].group or f"mine/{i}" for i in store.splits[part]}
    test = {store[i].group for i in store.splits["test"]} - {""}
    assert test and not test & {copy.group for copy in copies}
    assert original_of(copies[0], store) == 0


def test_the_structures_themselves_come_without_their_labels(tmp_path, store, structures, info):
    write_store(tmp_path / "a.h5", structures, info, {"train": [0, 1], "valid": [2]}, seed=0)
    labelled = StructureStore(tmp_path / "a.h5")
    copies = list(Perturbations(labelled, settings(count=6)))
    assert [len(copy) for copy in copies] == [8] * 3 + [8] * 3 + [9] * 3
    for copy, original in zip(copies[::3], structures, strict=True):
        assert np.array_equal(copy.positions, original.positions)
        assert np.array_equal(copy.cell, original.cell)
    assert not any(np.isfinite(copy.energy) for copy in copies)
    assert all(np.isnan(copy.forces).all() and np.isnan(copy.stress).all() for copy in copies)
    without = list(Perturbations(labelled, settings(count=6, keep_unperturbed=False)))
    for one, other in zip(without[:2], copies[1:3], strict=True):
        assert_same(one, other)
    assert len(without) == 6


def test_what_comes_beside_the_copies_is_told(tmp_path, structures, info):
    write_store(tmp_path / "a.h5", structures, info, {"train": [0, 1], "valid": [2]}, seed=0)
    chosen = Perturbations(StructureStore(tmp_path / "a.h5"), settings(count=24))
    assert str(chosen) == (
        "24 perturbed copies of 3 structures, and all 3 unperturbed structures "
        "(keep_unperturbed): 27"
    )
    assert len(list(chosen)) == 27


@pytest.mark.parametrize("count", [2, 5, 10, 11, 97])
def test_the_count_is_shared_out_evenly(store, count):
    chosen = Perturbations(store, settings(count=count, keep_unperturbed=False))
    copies = list(chosen)
    assert len(copies) == len(chosen) == count
    assert all(len(chosen.splits[part]) for part in ("train", "valid"))
    groups = [copy.group for copy in copies]
    for part in ("train", "valid"):
        times = [groups.count(store[i].group or f"mine/{i}") for i in store.splits[part]]
        assert max(times) - min(times) <= 1


def test_the_same_settings_give_the_same_structures(store):
    one, other = (list(Perturbations(store, settings(count=20))) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        assert_same(a, b)
    changed = list(Perturbations(store, settings(count=20, seed=1)))
    assert not np.allclose(one[1].positions, changed[1].positions)


def test_amplitudes_reach_from_near_to_far_and_respect_their_bounds(tmp_path, info):
    salt = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    split = {"train": [0], "valid": [1]}
    write_store(tmp_path / "a.h5", [Structure.unlabelled(salt)] * 2, info, split, seed=0)
    chosen = settings(count=128, strain=0.05, rattle=0.1, keep_unperturbed=False)
    strains, rattles = [], []
    for copy in Perturbations(StructureStore(tmp_path / "a.h5"), chosen):
        strain = np.linalg.solve(salt.cell.array, copy.cell) - np.eye(3)
        np.testing.assert_allclose(strain, strain.T, atol=1e-12)
        strains.append(np.abs(strain).max())
        rattles.append(np.std(copy.positions - salt.get_scaled_positions() @ copy.cell))
    assert max(strains) <= 0.05
    assert max(strains) > 0.035 and min(strains) < 0.005
    assert 0.08 < max(rattles) < 0.15 and min(rattles) < 0.01
    assert abs(np.corrcoef(strains, rattles)[0, 1]) < 0.3  # they are drawn independently


def test_only_periodic_directions_are_strained(store):
    slab, ethanol = store[1], store[2]
    chosen = settings(count=120, strain=0.1, rattle=0.0)
    for copy in Perturbations(store, chosen):
        if not copy.pbc.any():
            assert np.array_equal(copy.cell, ethanol.cell)
            np.testing.assert_allclose(copy.positions, ethanol.positions, atol=1e-12)
        elif not copy.pbc.all():
            np.testing.assert_allclose(copy.cell[2], slab.cell[2], atol=1e-12)
            np.testing.assert_allclose(copy.positions[:, 2], slab.positions[:, 2], atol=1e-12)


@pytest.mark.parametrize(("strain", "rattle"), [(0.3, 1.0), (0.3, 0.0), (0.0, 1.0)])
def test_the_strongest_perturbations_end_and_stay_physical(store, strain, rattle):
    nearest = {store[i].group: closeness(store[i].to_atoms()) for i in range(12)}
    for copy in Perturbations(store, settings(count=40, strain=strain, rattle=rattle)):
        before = nearest[copy.group if copy.group in nearest else ""]
        assert closeness(copy.to_atoms()) >= 0.7 * before - 1e-9


def test_how_near_atoms_are():
    assert closeness(bulk("Si")) == pytest.approx(2.351 / 2.22, abs=0.01)
    assert closeness(Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.31]])) == pytest.approx(0.5)
    assert closeness(Atoms("Ar")) == closeness(Atoms("Ar", cell=[9] * 3, pbc=True)) == 1.3
    assert closeness(Atoms("Cu", cell=[1.32] * 3, pbc=True)) == pytest.approx(0.5)


def test_structures_that_are_too_large_are_left_out(store):
    chosen = Perturbations(store, settings(count=20, max_atoms=12))
    copies = list(chosen)
    assert {len(copy) for copy in copies} == {8, 9, 12}
    assert len(chosen.splits["valid"]) >= 1
    with pytest.raises(
        UserError, match=r"max_atoms: every .* train split .* the smallest 8; raise"
    ):
        Perturbations(store, settings(count=20, max_atoms=7))


def test_without_a_valid_part_all_is_to_train_on(tmp_path, info):
    split = {"train": np.arange(10), "test": [10, 11]}
    write_store(tmp_path / "a.h5", originals(), info, split, seed=0)
    chosen = Perturbations(StructureStore(tmp_path / "a.h5"), settings(count=15))
    assert [len(chosen.splits[part]) for part in ("train", "valid")] == [25, 0]
    write_store(tmp_path / "b.h5", originals(), info, {"test": np.arange(12)}, seed=0)
    with pytest.raises(UserError, match="the train split is empty"):
        Perturbations(StructureStore(tmp_path / "b.h5"), settings(count=15))


def test_the_parts_fit_a_store(tmp_path, store, info):
    chosen = Perturbations(store, settings(count=30))
    write_store(tmp_path / "perturbed.h5", chosen, info, chosen.splits, seed=0)
    written = StructureStore(tmp_path / "perturbed.h5")
    assert len(written) == 40 and not len(written.splits["test"])
    with pytest.raises(UserError, match="the test split is empty"):
        written.require("test")
