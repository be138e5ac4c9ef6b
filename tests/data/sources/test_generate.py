"""Generated structures are physical, varied, and the same every time."""

import numpy as np
import pytest
from samples import assert_same

from irrepress.catalogue.model_ref import ModelRef
from irrepress.core.errors import UserError
from irrepress.data.config import Split
from irrepress.data.geometry import cell_heights, overlapping
from irrepress.data.sources.config import Generated
from irrepress.data.sources.generate import elements_of, generate
from irrepress.data.sources.prototypes import KINDS, PROTOTYPES, resolve
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store


def settings(*systems, **changes):
    labels = ModelRef(family="sevennet", checkpoint="7net-0")
    return Generated(source="generated", systems=list(systems), labels=labels, **changes)


@pytest.mark.parametrize("name", PROTOTYPES)
def test_prototypes_are_physical(name):
    prototype = PROTOTYPES[name]
    atoms = prototype.build()
    assert 2 <= len(atoms) <= 24
    assert not overlapping(atoms, 0.8)
    assert name == name.lower() and name.isascii() and " " not in name
    if prototype.kind == "molecules":
        assert not atoms.pbc.any() and not atoms.cell.any()
    else:
        assert atoms.pbc.all()
        assert cell_heights(atoms.cell.array).min() > 2
        assert overlapping(atoms, 1.3)  # neighbours are bonded, the cell is not too large
    if prototype.kind == "surfaces":
        assert cell_heights(atoms.cell.array)[2] - np.ptp(atoms.positions[:, 2]) > 10


def test_every_kind_has_prototypes_and_eight_systems_can_be_named():
    names = resolve(KINDS)
    assert len(names) == len(PROTOTYPES) >= 24
    assert {PROTOTYPES[name].kind for name in names} == set(KINDS)
    eight = ["silicon", "copper", "nacl", "mgo", "tio2", "srtio3", "ethanol", "benzene"]
    assert resolve(eight) == eight
    assert resolve(["silicon", "crystals", "silicon"]).count("silicon") == 1


def test_compositions_are_what_the_names_say():
    formulas = {name: PROTOTYPES[name].build().get_chemical_formula() for name in PROTOTYPES}
    assert formulas["tio2"] == "O4Ti2"
    assert formulas["srtio3"] == "O3SrTi"
    assert formulas["cu3au"] == "AuCu3"
    assert formulas["caf2"] == "Ca4F8"
    assert formulas["co-on-platinum"] == "COPt6"


@pytest.fixture(scope="module")
def everything():
    return list(generate(settings(*KINDS, count=88, seed=4)))


def test_the_same_settings_give_the_same_structures(everything):
    again = generate(settings(*KINDS, count=88, seed=4))
    for one, other in zip(everything, again, strict=True):
        assert_same(one, other)
    others = list(generate(settings(*KINDS, count=88, seed=5)))
    assert not any(
        one.positions.shape == other.positions.shape and np.allclose(one.positions, other.positions)
        for one, other in zip(everything, others, strict=True)
    )


def test_structures_are_unlabelled_small_enough_and_do_not_overlap(everything):
    for structure in everything:
        atoms = structure.to_atoms()
        assert atoms.calc is None
        assert np.isnan(structure.energy)
        assert 2 <= len(structure) <= 24
        assert not overlapping(atoms, 0.7)
        assert structure.group.split("/")[0] in PROTOTYPES


def test_systems_take_turns_and_share_the_count(everything):
    names = [structure.group.split("/")[0] for structure in everything]
    assert set(names[: len(PROTOTYPES)]) == set(PROTOTYPES)
    counts = [names.count(name) for name in PROTOTYPES]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(("strain", "rattle"), [(0.3, 1.0), (0.3, 0.0), (0.0, 1.0)])
def test_the_strongest_distortions_end_and_stay_physical(strain, rattle):
    for structure in generate(settings(*KINDS, count=60, strain=strain, rattle=rattle)):
        assert not overlapping(structure.to_atoms(), 0.7)


def test_without_distortion_the_prototype_comes_back():
    for structure in generate(settings("nacl", count=3, strain=0, rattle=0, max_atoms=8)):
        expected = PROTOTYPES["nacl"].build()
        np.testing.assert_allclose(structure.positions, expected.positions, atol=1e-12)
        np.testing.assert_allclose(structure.cell, expected.cell, atol=1e-12)


def test_amplitudes_reach_from_near_to_far_and_respect_their_bounds():
    structures = list(generate(settings("nacl", count=64, strain=0.05, rattle=0.1, max_atoms=8)))
    cell = PROTOTYPES["nacl"].build().cell.array
    strains, rattles = [], []
    for structure in structures:
        strain = np.linalg.solve(cell, structure.cell) - np.eye(3)
        np.testing.assert_allclose(strain, strain.T, atol=1e-12)
        strains.append(np.abs(strain).max())
        ideal = PROTOTYPES["nacl"].build().get_scaled_positions() @ structure.cell
        rattles.append(np.std(structure.positions - ideal))
    assert max(strains) <= 0.05
    assert max(strains) > 0.025 and min(strains) < 0.01
    assert 0.07 < max(rattles) < 0.15 and min(rattles) < 0.025


def test_siblings_share_cell_and_elements_but_not_positions():
    families: dict[str, list] = {}
    for structure in generate(settings("almg-random", "ethanol", count=64)):
        families.setdefault(structure.group, []).append(structure)
    assert sum(map(len, families.values())) == 64
    assert len(families) == 16
    for siblings in families.values():
        assert len(siblings) == 4
        for sibling in siblings[1:]:
            assert np.array_equal(sibling.cell, siblings[0].cell)
            assert np.array_equal(sibling.numbers, siblings[0].numbers)
            assert not np.array_equal(sibling.positions, siblings[0].positions)


def test_surfaces_keep_their_vacuum_and_cells_are_repeated():
    structures = list(generate(settings("copper-111", "silicon", count=40, strain=0.1)))
    copper = [s for s in structures if s.group.startswith("copper")]
    height = PROTOTYPES["copper-111"].build().cell[2, 2]
    for structure in copper:
        np.testing.assert_allclose(structure.cell[2], [0, 0, height], atol=1e-12)
        assert np.allclose(structure.cell[:2, 2], 0)
    silicon = [s for s in structures if s.group.startswith("silicon")]
    assert {len(s) for s in silicon} == {8, 16, 24}
    sizes = {len(s) for s in copper}
    assert sizes <= {4, 8, 12, 16, 20, 24} and len(sizes) > 2


def test_random_alloys_vary_in_composition():
    counts = {
        int(np.sum(structure.numbers == 12))
        for structure in generate(settings("almg-random", count=40))
    }
    assert len(counts) > 2
    assert min(counts) >= 1


@pytest.mark.parametrize("count", [8, 24, 64])
@pytest.mark.parametrize("name", ["silicon", "ethanol", "cuni-random", "mgo-100"])
def test_one_system_fills_every_part_of_a_split_by_group(tmp_path, info, name, count):
    write_store(tmp_path / "a.h5", generate(settings(name, count=count)), info, Split(), seed=0)
    splits = StructureStore(tmp_path / "a.h5").splits
    assert all(len(indices) for indices in splits.values())
    assert len(splits["train"]) == pytest.approx(0.7 * count, abs=3)


def test_unknown_and_oversized_systems_are_refused_before_anything_is_drawn():
    with pytest.raises(UserError, match="no prototype 'silicone'; did you mean 'silicon'"):
        generate(settings("silicone"))
    with pytest.raises(UserError, match="did you mean 'crystals'"):
        generate(settings("crystal"))
    with pytest.raises(UserError, match="'benzene' has 12 atoms, more than max_atoms: 8"):
        generate(settings("benzene", max_atoms=8))
    with pytest.raises(UserError, match="smallest of the surfaces has 4 atoms, more"):
        generate(settings("surfaces", "water", max_atoms=3))
    small = {s.group.split("/")[0] for s in generate(settings("molecules", max_atoms=4, count=9))}
    assert small == {"water", "ammonia", "formaldehyde"}


def test_elements_are_known_before_anything_is_drawn():
    config = settings("nacl", "sige-random", "water", count=24)
    drawn = {int(number) for structure in generate(config) for number in structure.numbers}
    assert drawn == set(elements_of(config)) == {1, 8, 11, 14, 17, 32}
