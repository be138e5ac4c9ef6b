"""Compensation is exact where it can be, helps where it cannot, and keeps the symmetry."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import bulk

from irrepress.core.plan import Plan
from irrepress.core.structure import Structure
from irrepress.core.target import Explicit
from irrepress.evaluation.symmetry import check_symmetry
from irrepress.pruning.budget import plan_for_irreps
from irrepress.pruning.compensation import RIDGES, _ridge_solution, compensate


@pytest.fixture(scope="module")
def crystals():
    """Rattled crystals, each another one."""
    made = []
    for index in range(40):
        atoms = bulk("NaCl", "rocksalt", a=5.64) if index % 2 else bulk("Si")
        atoms = atoms.repeat((2, 1, 1))
        atoms.rattle(0.1, seed=index)
        made.append(Structure.unlabelled(atoms))
    return made


@pytest.fixture(scope="module")
def parent(small_sevennet_double):
    return small_sevennet_double


@pytest.fixture(scope="module")
def plan(parent):
    groups = parent.groups()
    rng = np.random.default_rng(0)
    scores = {group.name: rng.random(group.channels) for group in groups}
    irreps = ["12x0e", *["12x0e+6x1e+4x2e"] * 4, "12x0e"]
    return plan_for_irreps(groups, scores, Explicit(irreps=irreps, filter_lmax=2))


def forces(model, structures):
    return model.predict(model.batch(structures)).forces


def test_a_model_that_lost_nothing_stays(parent, crystals):
    plan = Plan.identity(parent.groups())
    same = parent.narrow(plan)
    results = compensate(parent, same, plan, crystals[:10])
    assert all(result.after <= 1e-12 for result in results)
    difference = forces(same, crystals) - forces(parent, crystals)
    assert difference.abs().max() < 1e-7


def test_unseen_structures_profit(parent, plan, crystals):
    before = parent.narrow(plan)
    after = parent.narrow(plan)
    weights = {name: tensor.clone() for name, tensor in parent.state_dict().items()}
    results = compensate(parent, after, plan, crystals[:30])
    unseen = crystals[30:]
    target = forces(parent, unseen)
    errors = [(forces(model, unseen) - target).abs().mean() for model in (before, after)]
    assert errors[1] < 0.7 * errors[0]
    assert all(result.after <= result.before for result in results)
    assert {result.irrep for result in results} == {"0e", "1e", "2e"}
    assert all(torch.equal(weights[name], t) for name, t in parent.state_dict().items())
    for native in (True, False):
        symmetry = check_symmetry(after, crystals[0], native=native)
        assert all(symmetry[name] < 1e-9 for name in ("rotation", "translation", "permutation"))


def test_lost_neighbours_are_made_up_for(parent, crystals):
    """The parent keeps its cutoff, so that its features hold what the edges carried."""
    plan = replace(Plan.identity(parent.groups()), cutoff=4.0)
    before, after = parent.narrow(plan), parent.narrow(plan)
    results = compensate(parent, after, plan, crystals[:30])
    assert any(result.after < 0.9 * result.before for result in results)
    unseen = crystals[30:]
    target = forces(parent, unseen)
    errors = [(forces(model, unseen) - target).abs().mean() for model in (before, after)]
    assert errors[1] < 0.9 * errors[0]


def test_the_same_seed_gives_the_same_weights(parent, plan, crystals):
    models = [parent.narrow(plan) for _ in range(3)]
    for model, seed in zip(models, (0, 0, 1), strict=True):
        compensate(parent, model, plan, crystals[:10], seed=seed)
    one, same, other = (forces(model, crystals[:4]) for model in models)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_ridges_reach_from_the_free_solution_to_the_old_weights():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(200, 6, generator=generator, dtype=torch.float64)
    truth, old = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    gram, cross = inputs.T @ inputs, inputs.T @ (inputs @ truth)
    distances = [
        (_ridge_solution(gram, cross, old, ridge) - truth).norm() for ridge in (1e-12, *RIDGES)
    ]
    assert distances[0] < 1e-9
    assert distances == sorted(distances)
    assert torch.allclose(_ridge_solution(gram, cross, old, 1e12), old, atol=1e-9)


def test_inputs_that_are_always_zero_keep_their_weights():
    gram, cross = torch.diag(torch.tensor([2.0, 0.0]).double()), torch.zeros(2, 1).double()
    cross[0] = 6
    old = torch.ones(2, 1).double()
    assert _ridge_solution(gram, cross, old, 1e-6)[:, 0] == pytest.approx([3, 1], abs=1e-5)


def test_one_structure_is_too_few(parent, plan, crystals):
    with pytest.raises(ValueError, match="1 structures are too few to hold some out"):
        compensate(parent, parent.narrow(plan), plan, crystals[:1])
