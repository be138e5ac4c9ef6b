"""Narrowing of published SevenNet models, and rounding of plans."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from irrepress.core.errors import UserError
from irrepress.core.plan import Plan
from irrepress.core.target import Explicit
from irrepress.pruning.budget import plan_for_irreps
from irrepress.testing import assert_close, masked_and_narrowed, random_plan


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "order", "filter_order"), [(0, None, None), (1, 2, 1), (2, 1, 3)])
def test_l3i5(sevennet, structures, seed, order, filter_order):
    model = sevennet.load("7net-l3i5", dtype=torch.float64)
    plan = random_plan(model.groups(), seed, order, filter_order)
    masked, narrowed, small = masked_and_narrowed(model, plan, structures)
    assert_close(narrowed, masked, 1e-9, periodic=[0, 1])
    cost = model.cost_model()(plan.widths(model.groups()))
    assert cost.parameters == small.parameter_count()


def test_float32(sevennet_0, structures):
    plan = random_plan(sevennet_0.groups(), 4, None, None)
    masked, narrowed, small = masked_and_narrowed(sevennet_0, plan, structures)
    assert small.dtype == narrowed.forces.dtype == torch.float32
    assert_close(narrowed, masked, 1e-5, floor=1e-4, periodic=[0, 1])


def test_small_readout_keeps_its_floor(small_sevennet, structures):
    """Two channels are the fewest that sevenn's readout takes; one is refused by name."""
    groups = small_sevennet.groups()
    whole = Plan.identity(groups)
    last = "features.5.0e"
    plan = replace(whole, keep={**whole.keep, last: (3, 8)})
    masked, narrowed, small = masked_and_narrowed(small_sevennet, plan, structures)
    assert_close(narrowed, masked, 1e-5, floor=1e-4, periodic=[0, 1])
    assert small.shape()["irreps"][-1] == "2x0e"
    with pytest.raises(UserError, match=last):
        small_sevennet.narrow(replace(whole, keep={**whole.keep, last: (3,)}))
    rounded, messages = small_sevennet.native_plan(replace(whole, keep={**whole.keep, last: (3,)}))
    assert rounded.keep[last] == (0, 3)
    assert len(messages) == 1 and last in messages[0]


def test_native_plan_of_a_whole_published_model_changes_nothing(small_sevennet):
    plan = Plan.identity(small_sevennet.groups())
    assert small_sevennet.native_plan(plan) == (plan, [])


def test_tied_groups_are_widened_to_the_larger(small_sevennet):
    whole = Plan.identity(small_sevennet.groups())
    keep = {**whole.keep, "features.2.1e": (1, 2, 6), "messages.2.1e": (0,)}
    plan, messages = small_sevennet.native_plan(replace(whole, keep=keep))
    assert plan.keep["features.2.1e"] == (1, 2, 6)
    assert plan.keep["messages.2.1e"] == (0, 1, 2)
    assert messages == ["messages.2.1e: 1 -> 3 channels, because SevenNet ties it to features.2.1e"]


def test_messages_without_features_are_dropped(small_sevennet):
    whole = Plan.identity(small_sevennet.groups())
    plan, messages = small_sevennet.native_plan(
        replace(whole, keep={**whole.keep, "features.2.2e": ()})
    )
    assert plan.keep["messages.2.2e"] == ()
    assert "messages.2.2e: 4 -> 0" in messages[0]


def test_unreachable_orders_are_dropped(small_sevennet, structures):
    """Without l > 0 in the filter, features of l > 0 are zero: elements give only scalars."""
    whole = Plan.identity(small_sevennet.groups())
    asked = replace(whole, keep={**whole.keep, "filter.1e": (), "filter.2e": ()})
    plan, messages = small_sevennet.native_plan(asked)
    assert {name for name, kept in plan.keep.items() if kept} == {
        name for name in whole.keep if name.endswith("0e")
    }
    assert any("features.1.1e: 8 -> 0 channels, because nothing" in m for m in messages)
    masked, _, _ = masked_and_narrowed(small_sevennet, asked, structures)
    _, narrowed, _ = masked_and_narrowed(small_sevennet, plan, structures)
    assert_close(narrowed, masked, 1e-5, floor=1e-4, periodic=[0, 1])


def test_filter_orders_that_no_path_uses_are_dropped(small_sevennet):
    groups = small_sevennet.groups()
    whole = Plan.identity(groups)
    scalars = {g.name: () if g.l and g.axis == "channel" else whole.keep[g.name] for g in groups}
    plan, messages = small_sevennet.native_plan(replace(whole, keep=scalars))
    assert plan.keep["filter.0e"] == (0,)
    assert plan.keep["filter.1e"] == plan.keep["filter.2e"] == ()
    assert len(messages) == 2


@pytest.mark.parametrize(
    ("irreps", "highest"), [("16x0e", 0), ("16x0e+8x1e", 2), ("16x0e+4x2e", 2)]
)
def test_irreps_cut_only_the_orders_of_the_filter_that_nothing_uses(
    small_sevennet, structures, irreps, highest
):
    groups = small_sevennet.groups()
    scores = {g.name: np.zeros(g.channels) for g in groups}
    asked = plan_for_irreps(groups, scores, Explicit(irreps=irreps))
    assert asked.keep["filter.2e"] == (0,)
    plan, messages = small_sevennet.native_plan(asked)
    cut = [f"filter.{order}e: 1 -> 0 channels, because no path" for order in (1, 2)][highest:]
    told = [message for message in messages if message.startswith("filter")]
    assert len(told) == len(cut)
    assert all(message.startswith(start) for message, start in zip(told, cut, strict=True))
    masked, _, _ = masked_and_narrowed(small_sevennet, asked, structures)
    _, narrowed, small = masked_and_narrowed(small_sevennet, plan, structures)
    assert_close(narrowed, masked, 1e-5, floor=1e-4, periodic=[0, 1])
    assert small.shape()["filter_lmax"] == highest


def test_order_cut_from_the_middle_of_the_filter_is_mended(small_sevennet):
    whole = Plan.identity(small_sevennet.groups())
    asked = replace(whole, keep={**whole.keep, "filter.1e": ()})
    with pytest.raises(UserError, match="cut orders from the top"):
        small_sevennet.narrow(asked)
    plan, messages = small_sevennet.native_plan(asked)
    assert plan.keep == whole.keep
    assert "filter.1e: kept" in messages[0]


def test_narrowing_twice_is_narrowing_once(small_sevennet, structures):
    groups = small_sevennet.groups()
    rng = np.random.default_rng(0)
    first = Plan.random(groups, rng)
    half = small_sevennet.narrow(first)
    second = Plan.random(half.groups(), rng)
    twice = half.narrow(second)
    empty = {name: () for name in first.keep}
    joint = {
        name: tuple(kept[i] for i in {**empty, **second.keep}[name])
        for name, kept in first.keep.items()
    }
    once = small_sevennet.narrow(replace(first, keep=joint))
    assert once.shape() == twice.shape()
    batch = once.batch(structures)
    found = twice.predict(batch)
    assert_close(found, once.predict(batch), 1e-5, floor=1e-4, periodic=[0, 1])
