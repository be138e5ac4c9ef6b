from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irrepress.core.cost import Cost
from irrepress.core.errors import UserError
from irrepress.core.groups import Group, widths_of
from irrepress.core.plan import Plan
from irrepress.core.target import Explicit
from irrepress.pruning.allocation import Limits
from irrepress.pruning.budget import Costs, Measure, plan_for_fraction, plan_for_irreps, summarize


def make_groups() -> list[Group]:
    groups = []
    for layer, irreps in enumerate([{"0e": 32}, {"0e": 32, "1e": 16, "2e": 8}, {"0e": 32}]):
        for irrep, channels in irreps.items():
            width = f"{layer}.{irrep}"
            groups.append(
                Group(f"features.{layer}.{irrep}", layer, irrep, channels, width, floor=0)
            )
            groups.append(
                Group(f"messages.{layer}.{irrep}", layer, irrep, channels, width, floor=0)
            )
    groups += [
        Group(f"filter.{k}e", 0, f"{k}e", 1, f"filter.{k}e", axis="order", floor=int(k == 0))
        for k in range(3)
    ]
    return groups


GROUPS = make_groups()
FULL = widths_of(GROUPS)


def cost_model(widths):
    """Cost that grows with width times dimension, and with each order of the filter."""
    widths = {**FULL, **widths}
    orders = sum(widths[f"filter.{k}e"] * (2 * k + 1) for k in range(3))
    by_key = {g.width: g for g in GROUPS if g.axis == "channel"}
    channels = sum(widths[key] * g.dim for key, g in by_key.items())
    return Cost(parameters=10 + sum(widths[key] for key in by_key), flops=100.0 + channels * orders)


def scores(seed=0):
    rng = np.random.default_rng(seed)
    return {g.name: rng.random(g.channels) for g in GROUPS}


def seconds(widths):
    """A time that orders weigh on more than on the cost."""
    return 1e-4 + 1e-6 * cost_model(widths).flops ** 1.2


def measure_of(unit) -> Measure:
    return Measure(GROUPS, Costs(cost_model, seconds), unit)


def plan(values, budget, unit, **options):
    return plan_for_fraction(GROUPS, values, measure_of(unit), budget=budget, **options)


@given(
    seed=st.integers(0, 1000),
    budget=st.floats(0.35, 0.95),
    unit=st.sampled_from(["blocks", "parameters", "flops", "time"]),
    axes=st.sampled_from(["both", "channels"]),
    allocation=st.sampled_from(["greedy", "uniform"]),
    multiple=st.sampled_from([1, 4, 8]),
    floor=st.sampled_from([1, 4, 6]),
)
@settings(max_examples=120, deadline=None)
def test_a_plan_meets_its_budget_and_its_limits(
    seed, budget, unit, axes, allocation, multiple, floor
):
    limits = Limits(multiple=multiple, floor=floor, axes=axes)
    try:
        made = plan(scores(seed), budget, unit, allocation=allocation, limits=limits)
    except UserError as error:
        # Only plans that must keep every order are this hard to shrink.
        assert axes == "channels" or allocation == "uniform"
        assert "cannot be met" in str(error)
        return
    made.check(GROUPS)  # tied groups are equal, orders are cut from the top
    summary = summarize(made, GROUPS, Costs(cost_model, seconds))
    assert summary["fraction"][unit] <= budget + 1e-9
    assert summary["predicted_seconds"] == pytest.approx(seconds(made.widths(GROUPS)))
    for g in GROUPS:
        count = len(made.keep[g.name])
        if g.axis == "channel":
            assert count % multiple == 0 or count in (g.channels, floor)
            if g.l == 0:
                assert count >= floor
            elif axes == "channels" or allocation == "uniform":
                assert count >= min(multiple, g.channels)
        elif allocation == "uniform":
            assert count == 1


@given(budget=st.floats(0.3, 0.95), unit=st.sampled_from(["parameters", "flops", "time"]))
@settings(max_examples=40, deadline=None)
def test_uniform_keeps_the_same_fraction_everywhere_and_no_less_than_needed(budget, unit):
    limits = Limits(multiple=1, floor=1)
    made = plan(scores(), budget, unit, allocation="uniform", limits=limits)
    widths = made.widths(GROUPS)
    channels = {g.width: g.channels for g in GROUPS if g.axis == "channel"}
    # A width is the common fraction rounded: the fraction lies in all of these ranges.
    low = max((widths[key] - 0.5) / full for key, full in channels.items() if widths[key] > 1)
    high = min((widths[key] + 0.5) / full for key, full in channels.items())
    assert low < high
    more = {key: int(high * full + 0.5) for key, full in channels.items()}
    assert measure_of(unit)({**widths, **more}) > budget * measure_of(unit).whole


def test_the_lowest_scores_go_first():
    values = scores()
    made = plan(values, 0.8, "parameters", limits=Limits(multiple=1))
    for g in GROUPS:
        kept = set(made.keep[g.name])
        removed = [values[g.name][i] for i in range(g.channels) if i not in kept]
        if removed and kept:
            assert max(removed) <= min(values[g.name][i] for i in kept)


def test_an_unimportant_order_is_cut_with_its_filter():
    values = scores()
    for g in GROUPS:
        if g.l == 2:
            values[g.name] = values[g.name] * 1e-6
    made = plan(values, 0.6, "flops")
    assert all(not made.keep[g.name] for g in GROUPS if g.l == 2)
    channels = plan(values, 0.6, "flops", limits=Limits(axes="channels"))
    assert all(channels.keep[g.name] for g in GROUPS if g.l == 2)


def test_an_important_order_stays():
    values = scores()
    for g in GROUPS:
        if g.l == 2:
            values[g.name] = values[g.name] + 1e6
    made = plan(values, 0.8, "flops")
    assert all(len(made.keep[g.name]) == g.channels for g in GROUPS if g.l == 2)


@pytest.mark.parametrize("budget", [-0.5, 0.0, 1.0, 1.5])
def test_a_budget_outside_0_to_1_is_refused(budget):
    with pytest.raises(UserError, match="between 0 and 1"):
        plan(scores(), budget, "flops")


@pytest.mark.parametrize("allocation", ["greedy", "uniform"])
def test_a_budget_that_cannot_be_met_says_what_can(allocation):
    kept = {"greedy": "axes 'both'", "uniform": "every order kept"}[allocation]
    with pytest.raises(UserError, match=rf"cannot be met.*{kept}; the smallest possible is 0\.\d+"):
        plan(scores(), 0.01, "parameters", allocation=allocation)
    with pytest.raises(UserError, match=r"set evaluation\.timing_atoms higher"):
        plan(scores(), 0.01, "time", allocation=allocation)


def test_the_unit_time_needs_a_time_model():
    with pytest.raises(ValueError, match="needs a time model"):
        Measure(GROUPS, Costs(cost_model), "time")


def test_blocks_of_the_same_score_go_where_they_cost_most_time():
    values = {g.name: np.ones(g.channels) for g in GROUPS}

    def slow_first_layer(widths):
        return 1.0 + widths["0.0e"] + 0.01 * widths["1.0e"]

    measure = Measure(GROUPS, Costs(cost_model, slow_first_layer), "time")
    widths = plan_for_fraction(GROUPS, values, measure, budget=0.6).widths(GROUPS)
    assert widths["0.0e"] < FULL["0.0e"] and widths["1.0e"] == FULL["1.0e"]


@pytest.mark.parametrize("unit", ["flops", "time"])
def test_what_a_shorter_cutoff_saves_is_left_to_blocks(unit):
    whole = Costs(cost_model, seconds)
    less = Costs(
        lambda widths: replace(cost_model(widths), flops=0.7 * cost_model(widths).flops),
        lambda widths: 0.7 * seconds(widths),
    )
    shorter = Measure(GROUPS, less, unit, measure_of(unit).whole)
    assert shorter.whole == measure_of(unit).whole
    assert shorter(widths_of(GROUPS)) == pytest.approx(0.7 * shorter.whole)
    same = plan_for_fraction(GROUPS, scores(), shorter, budget=0.8)
    assert same.keep == Plan.identity(GROUPS).keep
    kept = [
        plan_for_fraction(
            GROUPS, scores(), measure, budget=0.65, limits=Limits(axes="channels")
        ).kept_blocks()
        for measure in (measure_of(unit), shorter)
    ]
    assert kept[0] < kept[1] < Plan.identity(GROUPS).total_blocks()
    summary = summarize(replace(same, cutoff=4.5), GROUPS, less, whole)
    assert summary["cutoff"] == 4.5
    assert summary["fraction"]["time"] == pytest.approx(0.7)
    assert summary["fraction"]["flops"] == pytest.approx(0.7)
    assert summary["fraction"]["parameters"] == 1


def test_explicit_irreps_for_every_layer():
    plan = plan_for_irreps(GROUPS, scores(), Explicit(irreps="16x0e+4x1e"))
    summary = summarize(plan, GROUPS, Costs(cost_model))
    assert summary["irreps"] == ["16x0e", "16x0e+4x1e", "16x0e"]
    assert summary["filter_lmax"] == 2  # not named, so that it stays


def test_explicit_irreps_layer_by_layer():
    explicit = Explicit(irreps=["32x0e", "8x0e+2x2e", "24x0e"], filter_lmax=1)
    summary = summarize(plan_for_irreps(GROUPS, scores(), explicit), GROUPS, Costs(cost_model))
    assert summary["irreps"] == ["32x0e", "8x0e+2x2e", "24x0e"]
    assert summary["filter_lmax"] == 1


def test_the_filter_can_be_named_alone():
    plan = plan_for_irreps(GROUPS, scores(), Explicit(filter_lmax=1))
    assert plan.widths(GROUPS) == {**FULL, "filter.2e": 0}
    with pytest.raises(UserError, match="filter_lmax: 3 is outside the model's range, 0 to 2"):
        plan_for_irreps(GROUPS, scores(), Explicit(filter_lmax=3))


def test_widths_can_be_named_alone():
    plan = plan_for_irreps(GROUPS, scores(), Explicit(widths={"1.1e": 4, "filter.2e": 0}))
    assert plan.widths(GROUPS) == {**FULL, "1.1e": 4, "filter.2e": 0}
    best = np.argsort(-scores()["features.1.1e"])[:4]
    assert plan.keep["features.1.1e"] == tuple(sorted(best.tolist()))


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"widths": {"1.1o": 4}}, "explicit widths: the model has no '1.1o'; did you mean '1.1e'"),
        ({"widths": {"1.1e": 17}}, "explicit widths: 17 for '1.1e' is outside 0-16"),
        ({"widths": {"filter.0e": 0}}, "'filter.0e' is outside 1-1"),
        ({"widths": {"filter.1e": 0}}, "cut orders from the top"),
        ({"widths": {"filter.2e": 1}, "filter_lmax": 1}, "give 0; give it only once"),
        ({"widths": {"1.1e": 4}, "irreps": "32x0e+8x1e"}, "give 8; give it only once"),
    ],
)
def test_wrong_widths_are_one_clear_message(named, message):
    with pytest.raises(UserError, match=message):
        plan_for_irreps(GROUPS, scores(), Explicit(**named))


@pytest.mark.parametrize(
    ("irreps", "message"),
    [
        ("64x0e", "outside"),
        ("16x0e+4x7e", "has no 7e"),
        (["16x0e", "16x0e"], "3 layers"),
        (["16x0e+4x1e", "16x0e", "16x0e"], "layer 0 has no 1e"),
    ],
)
def test_wrong_irreps_are_one_clear_message(irreps, message):
    with pytest.raises(UserError, match=message.replace("*", r"\*")):
        plan_for_irreps(GROUPS, scores(), Explicit(irreps=irreps))
