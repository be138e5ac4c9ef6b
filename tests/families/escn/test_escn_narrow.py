"""Narrowing of eSCN-MD, rounding of plans, and what norms do to channels that are masked."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from irrepress.core.errors import UserError
from irrepress.core.plan import Plan
from irrepress.core.target import Explicit
from irrepress.families.escn.architecture import read_architecture
from irrepress.families.escn.layout import make_layout
from irrepress.families.generic.layout import kept_indices
from irrepress.pruning.allocation import Limits
from irrepress.pruning.budget import Costs, Measure, plan_for_fraction, plan_for_irreps, summarize
from irrepress.pruning.compensation import compensate
from irrepress.testing import assert_close, gates_of


@pytest.fixture(scope="module")
def wide(make_escn):
    """As many components as orders, so that either can be cut alone."""
    return make_escn(lmax=3, mmax=2)


def kept(model, **counts):
    """A plan that keeps the last channels of groups by their width key, and orders below some."""
    groups = model.groups()
    keep = {}
    for g in groups:
        count = counts.get(g.width, g.channels)
        if g.axis != "channel":
            count = int(g.l <= counts.get(g.axis, g.l))
        keep[g.name] = tuple(range(g.channels - count, g.channels))
    return Plan(keep, {g.name: g.channels for g in groups})


def without_weights(model, plan):
    """The dense model, with zeros for all weights that the plan removes; norms are fairchem's."""
    masked = copy.deepcopy(model)
    with torch.no_grad():
        for weights in make_layout(read_architecture(model.native)):
            for axis, parts in enumerate(weights.axes):
                gone = torch.ones(weights.shape[axis], dtype=torch.bool)
                gone[kept_indices(parts, plan.keep)] = False
                weights.view(masked.network).index_fill_(axis, gone.nonzero()[:, 0], 0.0)
    return masked


def both(model, plan, structures):
    groups = model.groups()
    batch = model.batch(structures)
    with model.gated(gates_of(groups, plan, model.dtype)):
        masked = model.predict(batch)
    return masked, model.narrow(plan).predict(batch)


@pytest.mark.parametrize(
    "counts",
    [
        {"hidden_channels": 5},
        {"component": 1},
        {"component": 0},
        {"component": 1, "hidden_channels": 7},
    ],
    ids=str,
)
def test_hidden_channels_and_components_are_exact_with_fairchems_norms(wide, structures, counts):
    """Nothing but weights of zero is needed here: no norm sees what is removed."""
    plan = kept(wide, **counts)
    masked, narrowed = both(wide, plan, structures)
    assert_close(narrowed, masked, 1e-9, periodic=[0, 1])
    batch = wide.batch(structures)
    zeros = without_weights(wide, plan).predict(batch)
    assert_close(narrowed, zeros, 1e-9, periodic=[0, 1])
    whole = wide.predict(batch)
    assert float((narrowed.forces - whole.forces).abs().max()) > 1e-3 * float(
        whole.forces.abs().max()
    )


@pytest.mark.parametrize(
    "counts",
    [{"sphere_channels": 8}, {"order": 2}, {"order": 1}, {"order": 0}, {"edge_channels": 4}],
    ids=str,
)
def test_channels_and_orders_are_exact_with_norms_over_what_is_kept(wide, structures, counts):
    plan, _ = wide.native_plan(kept(wide, **counts))
    masked, narrowed = both(wide, plan, structures)
    assert_close(narrowed, masked, 1e-9, periodic=[0, 1])
    # With fairchem's norms over all channels and orders, the masked model is another one.
    zeros = without_weights(wide, plan).predict(wide.batch(structures))
    scale = float(narrowed.forces.abs().max())
    assert float((zeros.forces - narrowed.forces).abs().max()) > 1e-2 * scale


def test_by_how_much_norms_over_removed_channels_differ(wide):
    """Features come out larger by the square root of what is removed."""
    plan = kept(wide, sphere_channels=4, order=1)
    plan, _ = wide.native_plan(plan)
    dense = wide.network.backbone.norm
    small = wide.narrow(plan).network.backbone.norm
    features = torch.zeros(5, 16, 16, dtype=torch.float64)
    own = torch.randn(5, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    features[:, 1:4, -4:] = 100 * own  # so large that fairchem's eps does not matter
    found = dense(features)[:, 1:4, -4:] / small(features[:, :4, -4:])[:, 1:4]
    channels, orders = 16 / 4, 4 / 2
    torch.testing.assert_close(found, torch.full_like(found, (channels * orders) ** 0.5))


def test_other_charges_survive_narrowing_of_tables(wide):
    """Tables of charge and spin are narrowed without loss for every charge, not only for 0."""
    plan = kept(wide, sphere_channels=6)
    small = wide.narrow(plan).network.backbone
    charge, spin = torch.tensor([-3, 0, 2]), torch.tensor([2, 0, 5])
    expected = wide.network.backbone.csd_embedding(charge, spin, ["omat"] * 3)[:, -6:]
    torch.testing.assert_close(small.csd_embedding(charge, spin, ["omat"] * 3), expected)


def test_what_narrowing_takes_from_other_charges_is_told(make_escn, wide, caplog):
    """Sines and cosines of charges cannot be narrowed without loss, tables can."""
    sines = make_escn(sphere_channels=8, chg_spin_emb_type="pos_emb")
    for model, told in ((wide, 0), (sines, 2)):
        groups = model.groups()
        scores = {g.name: np.zeros(g.channels) for g in groups}
        plan = plan_for_irreps(groups, scores, Explicit(widths={"sphere_channels": 4}))
        caplog.clear()
        model.narrow(plan)
        found = [r.message for r in caplog.records if "frequencies stay" in r.message]
        assert len(found) == told
    assert found[0].startswith("charge_embedding: 2 of 4 frequencies stay")


def test_groups_of_one_kind_are_widened_to_the_largest(wide):
    whole = Plan.identity(wide.groups())
    keep = {
        name: kept[:4] if name.startswith("messages") else kept for name, kept in whole.keep.items()
    }
    plan, messages = wide.native_plan(replace(whole, keep=keep))
    assert plan.keep == whole.keep
    assert messages == [
        f"messages.{t}: 4 -> 12 channels, because fairchem has one number of hidden_channels"
        for t in range(2)
    ]


def test_odd_numbers_of_sphere_channels_are_rounded(wide):
    whole = Plan.identity(wide.groups())
    asked = replace(whole, keep={**whole.keep, "features": (1, 4, 5)})
    with pytest.raises(UserError, match="multiple of 2"):
        wide.narrow(asked)
    plan, (message,) = wide.native_plan(asked)
    assert plan.keep["features"] == (0, 1, 4, 5)
    assert "features: 3 -> 4 channels" in message and "multiple of 2" in message


def test_components_above_the_highest_order_go_with_it(wide):
    asked = kept(wide, order=1)
    plan, messages = wide.native_plan(asked)
    assert plan.keep["component.2e"] == () and plan.keep["component.1e"] == (0,)
    assert len(messages) == 1 and "component.2e: removed" in messages[0]
    assert wide.narrow(plan).shape()["mmax"] == 1


@pytest.mark.parametrize(("group", "axis"), [("order.2e", "order"), ("component.1e", "component")])
def test_a_hole_in_orders_or_components_is_mended(wide, group, axis):
    whole = Plan.identity(wide.groups())
    asked = replace(whole, keep={**whole.keep, group: ()})
    with pytest.raises(UserError, match=f"cut {axis}s from the top"):
        wide.narrow(asked)
    plan, (message,) = wide.native_plan(asked)
    assert plan.keep == whole.keep and f"{group}: kept" in message


def test_narrowing_twice_is_narrowing_once(wide, structures):
    first = kept(wide, sphere_channels=10, component=1)
    half = wide.narrow(first)
    second, _ = half.native_plan(kept(half, sphere_channels=4, order=2))
    twice, once = half.narrow(second), wide.narrow(first.then(second))
    assert once.shape() == twice.shape()
    batch = once.batch(structures)
    assert_close(twice.predict(batch), once.predict(batch), 1e-9, periodic=[0, 1])


def test_float32(make_escn, structures):
    model = make_escn(dtype=torch.float32)
    plan = kept(model, sphere_channels=8, hidden_channels=4)
    masked, narrowed = both(model, plan, structures)
    assert narrowed.forces.dtype == torch.float32
    assert_close(narrowed, masked, 1e-4, floor=1e-4, periodic=[0, 1])


def test_budgets_make_plans_that_can_be_built(wide):
    groups = wide.groups()
    scores = {name: norm.numpy() for name, norm in wide.block_norms().items()}
    costs = wide.cost_model()
    measure = Measure(groups, Costs(costs), "flops")
    limits = Limits(multiple=3, floor=4)
    for allocation in ("greedy", "uniform"):
        plan = plan_for_fraction(
            groups, scores, measure, budget=0.4, allocation=allocation, limits=limits
        )
        plan, _ = wide.native_plan(plan)
        small = wide.narrow(plan)
        assert small.cost_model()({}).flops <= 0.4 * costs({}).flops


def test_components_are_cut_where_they_cost_most_and_score_least(wide):
    """A search over highest components finds the cut that loses nothing."""
    groups = wide.groups()
    scores = {g.name: torch.ones(g.channels).numpy() for g in groups}
    scores["component.2e"][:] = 0
    costs = wide.cost_model()
    measure = Measure(groups, Costs(costs), "flops")
    share = costs({"component.2e": 0}).flops / costs({}).flops
    plan = plan_for_fraction(groups, scores, measure, budget=share + 1e-6)
    gone = {name for name, kept in plan.keep.items() if len(kept) < plan.channels[name]}
    assert gone == {"component.2e"}


def test_explicit_irreps(wide):
    groups = wide.groups()
    scores = {name: norm.numpy() for name, norm in wide.block_norms().items()}
    asked = Explicit(irreps="8x0e+8x1e+8x2e")
    plan, _ = wide.native_plan(plan_for_irreps(groups, scores, asked))
    named = {"irreps": ["8x0e+8x1e+8x2e"] * 2, "filter_lmax": 2}
    assert wide.narrow(plan).shape() == wide.shape() | named
    described = summarize(plan, groups, Costs(wide.cost_model()))
    assert {key: described[key] for key in named} == named
    for wrong, message in (
        ({"irreps": "8x0e+4x1e"}, "8 of every order or none"),
        ({"irreps": "8x0e+8x2e"}, "orders from the top"),
        ({"irreps": "8x0e+8x1e", "filter_lmax": 2}, "leave filter_lmax out"),
        ({"irreps": ["8x0e", "8x0e+8x1e"]}, "2 are given, but the model has 1 layers"),
    ):
        with pytest.raises(UserError, match=message):
            plan_for_irreps(groups, scores, Explicit(**wrong))


def test_other_sizes_of_fairchem_can_be_named(wide):
    groups = wide.groups()
    scores = {g.name: np.zeros(g.channels) for g in groups}
    asked = Explicit(widths={"hidden_channels": 6, "edge_channels": 4, "component.2e": 0})
    plan = plan_for_irreps(groups, scores, asked)
    assert wide.native_plan(plan) == (plan, [])
    named = {"hidden_channels": 6, "edge_channels": 4, "mmax": 1}
    assert wide.narrow(plan).shape() == wide.shape() | named


def test_compensation_brings_predictions_closer(make_escn, structures):
    """Rows of fits are atoms, which stay where edges come and go with displacements."""
    model = make_escn(dtype=torch.float32)
    frames = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        frames += [
            replace(s, positions=s.positions + rng.normal(0, 0.1, s.positions.shape))
            for s in structures
        ]
    plan = Plan.random(model.groups(), np.random.default_rng(2))
    plan, _ = model.native_plan(plan)
    small = model.narrow(plan)
    batch = model.batch(structures)
    expected = model.predict(batch)
    before = small.predict(batch).forces - expected.forces
    compensate(model, small, plan, frames, batch_size=4)
    after = small.predict(batch).forces - expected.forces
    assert float(after.abs().mean()) < 0.9 * float(before.abs().mean())


def test_by_how_much_compensation_makes_good_what_norms_lose(make_escn, structures):
    """Removed channels that carry nothing cost accuracy through the norms alone.

    fairchem's norms divide by the mean over all channels, the narrowed model's by that over the
    kept ones, so that its features are too small. The fitted maps follow radial networks and
    first convolutions that are not fitted, which leaves a part of the difference.
    """
    model = make_escn(dtype=torch.float32, lmax=3, mmax=2)
    plan, _ = model.native_plan(kept(model, sphere_channels=8, order=2))
    parent = without_weights(model, plan)
    small = model.narrow(plan)
    frames = [
        replace(s, positions=s.positions + np.random.default_rng(seed).normal(0, 0.1, (len(s), 3)))
        for seed in range(8)
        for s in structures
    ]
    batch = model.batch(structures)
    expected = parent.predict(batch).forces
    errors = []
    for fitted in (False, True):
        if fitted:
            compensate(parent, small, plan, frames, batch_size=6)
        found = small.predict(batch).forces
        errors.append(float((found - expected).abs().mean() / expected.abs().mean()))
    # 0.60 of the mean force before, 0.31 after.
    assert 0.4 < errors[0] < 0.8
    assert errors[1] < 0.6 * errors[0]
