"""Groups that follow another's width, blocks in a row, and widths of scalar networks."""

from dataclasses import replace

import numpy as np
import pytest

from irrepress.core.cost import Cost
from irrepress.core.errors import UserError
from irrepress.core.groups import Group, followers, widths_of
from irrepress.core.plan import Plan
from irrepress.core.target import Explicit
from irrepress.pruning.allocation import Limits
from irrepress.pruning.budget import (
    Costs,
    Measure,
    named_target,
    plan_for_fraction,
    plan_for_irreps,
)
from irrepress.pruning.shapes import design_shapes

GROUPS = [
    Group("filter.0e", 0, "0e", 1, "filter.0e", axis="order", floor=1),
    Group("filter.1o", 0, "1o", 1, "filter.1o", axis="order", floor=1),
    Group("features.0.0e", 0, "0e", 32, "hidden", floor=1),
    Group("features.1.0e", 1, "0e", 32, "hidden", floor=1),
    Group("features.1.1o", 1, "1o", 32, "hidden.1o", follows="hidden"),
    Group("basis.0", 0, "0e", 32, "hidden", floor=1, components=4),
    Group("radial.0.0", 0, "0e", 16, "radial.0", axis="width", floor=1),
    Group("correlation.0", 0, "0e", 3, "correlation.0", axis="correlation", floor=1),
]


def cost_model(widths):
    full = {**widths_of(GROUPS), **widths}
    parameters = full["hidden"] * (10 + full["hidden.1o"]) + 5 * full["radial.0"]
    parameters += 50 * full["correlation.0"]
    return Cost(parameters=parameters, flops=3.0 * parameters)


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    return {g.name: rng.random(g.channels) for g in GROUPS}


def test_components_of_a_block():
    assert [g.dim for g in GROUPS[3:6]] == [1, 3, 4]
    assert followers(GROUPS) == {"hidden": ["hidden.1o"]}


@pytest.mark.parametrize("seed", range(5))
def test_random_plans_fit(seed):
    Plan.random(GROUPS, np.random.default_rng(seed)).check(GROUPS)


def test_cutting_orders_leaves_what_cannot_go():
    plan = Plan.identity(GROUPS).cut_order(GROUPS, 0)
    assert plan.keep["features.1.1o"] == () and plan.keep["filter.1o"] == (0,)
    plan.check(GROUPS)


def test_followers_keep_as_many_or_none():
    keep = {**Plan.identity(GROUPS).keep, "features.1.1o": (0, 1)}
    plan = Plan(keep, Plan.identity(GROUPS).channels)
    with pytest.raises(UserError, match=r"'features\.1\.1o' keeps 2.*the 32 of 'hidden', or none"):
        plan.check(GROUPS)


def test_blocks_in_a_row_go_from_the_last():
    keep = {**Plan.identity(GROUPS).keep, "correlation.0": (0, 2)}
    plan = Plan(keep, Plan.identity(GROUPS).channels)
    with pytest.raises(UserError, match=r"only be removed from the last; keep 0-1"):
        plan.check(GROUPS)


@pytest.mark.parametrize("allocation", ["greedy", "uniform"])
@pytest.mark.parametrize("budget", [0.8, 0.5, 0.3])
def test_budgets_are_met_by_plans_that_fit(scores, allocation, budget):
    measure = Measure(GROUPS, Costs(cost_model), "parameters")
    plan = plan_for_fraction(
        GROUPS, scores, measure, budget=budget, allocation=allocation, limits=Limits()
    )
    plan.check(GROUPS)
    widths = plan.widths(GROUPS)
    assert measure(widths) <= budget * measure.whole
    assert widths["correlation.0"] == 3
    assert widths["hidden"] % 8 == 0 and widths["radial.0"] % 8 == 0
    if allocation == "uniform":
        assert widths["hidden.1o"] == widths["hidden"]


def test_orders_can_vanish_alone(scores):
    """Where they carry little, features of l > 0 go and scalars stay."""
    scores = {**scores, "features.1.1o": np.full(32, 1e-6)}
    measure = Measure(GROUPS, Costs(cost_model), "parameters")
    plan = plan_for_fraction(GROUPS, scores, measure, budget=0.5, limits=Limits())
    assert plan.widths(GROUPS) == {**widths_of(GROUPS), "hidden.1o": 0}
    kept = plan_for_fraction(
        GROUPS, scores, measure, budget=0.5, limits=Limits(axes="channels")
    ).widths(GROUPS)
    assert 0 < kept["hidden.1o"] == kept["hidden"] < 32


def test_irreps_are_asked_of_features_alone(scores):
    plan = plan_for_irreps(GROUPS, scores, Explicit(irreps="8x0e+8x1o"))
    widths = plan.widths(GROUPS)
    assert widths == {**widths_of(GROUPS), "hidden": 8, "hidden.1o": 8}
    plan = plan_for_irreps(GROUPS, scores, Explicit(irreps="8x0e"))
    plan.check(GROUPS)
    assert plan.widths(GROUPS)["hidden.1o"] == 0
    with pytest.raises(UserError, match="needs the same 8 channels as elsewhere"):
        plan_for_irreps(GROUPS, scores, Explicit(irreps="8x0e+4x1o"))


def test_messages_go_with_features_where_they_were_built_alike(scores):
    own = Group("messages.1.0e", 1, "0e", 32, "edge.0e", floor=1)
    values = scores | {own.name: np.arange(32.0)}
    for group, expected in ((own, 32), (replace(own, sized_like="hidden"), 8)):
        groups = [*GROUPS, group]
        for named in ({"irreps": "8x0e"}, {"widths": {"hidden": 8}}):
            plan = plan_for_irreps(groups, values, Explicit(**named))
            assert plan.widths(groups)["edge.0e"] == expected
        asked = Explicit(irreps="8x0e", widths={"edge.0e": 16})
        assert plan_for_irreps(groups, values, asked).widths(groups)["edge.0e"] == 16


def test_what_follows_a_width_goes_with_it(scores):
    widths = plan_for_irreps(GROUPS, scores, Explicit(widths={"hidden": 8})).widths(GROUPS)
    assert widths == {**widths_of(GROUPS), "hidden": 8, "hidden.1o": 8}


def test_shapes_to_time_fit():
    plans = design_shapes(GROUPS, 20, seed=0)
    assert len(plans) > 10
    for plan in plans:
        plan.check(GROUPS)
    assert len({plan.widths(GROUPS)["radial.0"] for plan in plans}) > 1


def test_targets_can_be_named():
    shapes = {"official-small": Explicit(irreps="8x0e", filter_lmax=1)}
    assert named_target(Explicit(irreps="16x0e"), shapes).irreps == "16x0e"
    assert named_target(Explicit(irreps="official-small"), shapes) == shapes["official-small"]
    other = named_target(Explicit(irreps="official-small", filter_lmax=0), shapes)
    assert (other.irreps, other.filter_lmax) == ("8x0e", 0)
    more = named_target(Explicit(irreps="official-small", cutoff=4.0, widths={"a": 1}), shapes)
    assert (more.filter_lmax, more.cutoff, more.widths) == (1, 4.0, {"a": 1})
    assert named_target(Explicit(cutoff=4.0), shapes) == Explicit(cutoff=4.0)
    with pytest.raises(UserError, match="did you mean 'official-small'"):
        named_target(Explicit(irreps="oficial-small"), shapes)
    with pytest.raises(UserError, match="this family names none"):
        named_target(Explicit(irreps="small"), {})
