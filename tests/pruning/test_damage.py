import pytest
from ase import units
from ase.build import bulk, molecule

from irrepress.core.loss_weights import LossWeights
from irrepress.core.plan import Plan
from irrepress.core.structure import Structure
from irrepress.pruning.damage import Damage


@pytest.fixture(scope="module")
def structures():
    made = []
    for seed, atoms in enumerate([bulk("Si"), molecule("H2O"), bulk("Si"), bulk("Cu")]):
        atoms.rattle(0.1, seed=seed)
        made.append(Structure.unlabelled(atoms))
    return made


def damage_of(model, structures, **weights):
    weights = LossWeights(**{"energy": 0, "forces": 0, "stress": 0} | weights)
    return Damage(model, structures, batch_size=3, weights=weights)


def without_order(model, above):
    groups = model.groups()
    return Plan.identity(groups).cut_order(groups, above=above)


def test_keeping_everything_does_none(small_sevennet_double, structures):
    damage = damage_of(small_sevennet_double, structures, energy=1, forces=1, stress=1)
    plan = Plan.identity(small_sevennet_double.groups())
    assert damage(plan) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("quantity", ["energy", "forces", "stress"])
def test_it_is_the_difference_of_the_narrowed_model(small_sevennet_double, structures, quantity):
    parent = small_sevennet_double
    plan = without_order(parent, 1)
    batch = parent.batch(structures)
    before, after = (model.predict(batch) for model in (parent, parent.narrow(plan)))
    difference = getattr(after, quantity) - getattr(before, quantity)
    if quantity == "energy":
        difference = difference / batch.num_atoms
        difference = difference - difference.median()
    elif quantity == "stress":  # it counts only where there is a volume
        difference = difference[[0, 2, 3]] / units.GPa
    expected = float(difference.abs().mean())
    found = damage_of(parent, structures, **{quantity: 2})(plan)
    assert expected > 0 and found == pytest.approx(2 * expected, rel=1e-9)


def test_what_constants_correct_is_no_damage(small_sevennet_double, structures):
    """One structure has a median energy difference, and nothing beside it."""
    plan = without_order(small_sevennet_double, 1)
    damage = damage_of(small_sevennet_double, structures[:1], energy=1)
    assert damage(plan) == 0


def test_molecules_have_no_stress(small_sevennet_double, structures):
    damage = damage_of(small_sevennet_double, structures[1:2], stress=1)
    assert damage(without_order(small_sevennet_double, 1)) == 0


def test_no_structures(small_sevennet_double):
    with pytest.raises(ValueError, match="no structures"):
        damage_of(small_sevennet_double, [])


def test_a_shorter_cutoff_is_part_of_the_damage(small_sevennet_double, structures):
    """Plans of the shortened model are compared with the unpruned one."""
    parent = small_sevennet_double
    start = parent.with_cutoff(4.6)
    weights = LossWeights(energy=0, forces=1, stress=0)
    damage = Damage(parent, structures, batch_size=3, weights=weights, start=start)
    before, after = (model.predict(model.batch(structures)).forces for model in (parent, start))
    plan = Plan.identity(parent.groups())
    assert damage(plan) == pytest.approx(float((after - before).abs().mean()), rel=1e-9)
