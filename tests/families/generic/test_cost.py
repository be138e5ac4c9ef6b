"""Counting on the axes of a layout."""

import pytest
import torch

from irrepress.core.cost import Cost
from irrepress.core.groups import Group
from irrepress.families.generic.cost import (
    Amount,
    channel_counts,
    cost_model,
    counter,
    multiplications,
    parameters,
)
from irrepress.families.generic.layout import Part, Weights, free

GROUPS = [
    Group("order.0e", 0, "0e", 1, "order.0e", axis="order", floor=1),
    Group("order.1e", 0, "1e", 1, "order.1e", axis="order"),
    Group("order.2e", 0, "2e", 1, "order.2e", axis="order"),
    Group("features", 0, "0e", 3, "width"),
    Group("hidden", 0, "0e", 2, "hidden"),
]
FEATURES = Part(3, "features")
HIGH = Part(3, "features", "high", inside=(("order.2e", 0),), needs=("hidden",))
HIDDEN = Part(2, "hidden")
LAYOUT = [
    Weights("second.weight", (free(1), (HIDDEN,)), reads=1),
    Weights("first.weight", ((HIDDEN,), (FEATURES, HIGH)), components=3, reads=1),
    Weights("first.bias", ((HIDDEN,),)),
]


def make_network() -> torch.nn.Module:
    """Two linear maps and a scale, which the layout leaves out."""
    return torch.nn.ModuleDict(
        {
            "first": torch.nn.Linear(6, 2),
            "second": torch.nn.Linear(2, 1, bias=False),
            "scale": torch.nn.LayerNorm(4, bias=False),
        }
    )


def test_orders_below_one_that_is_kept_are_kept():
    counts = channel_counts(GROUPS, {"width": 2, "order.1e": 0})
    assert counts == {"order.0e": 1, "order.1e": 1, "order.2e": 1, "features": 2, "hidden": 2}
    assert channel_counts(GROUPS, {"order.2e": 0})["order.2e"] == 0


@pytest.mark.parametrize(
    ("widths", "expected"),
    [
        ({}, 2 * 6 + 2 + 2 + 4),
        ({"width": 2, "hidden": 1}, 4 + 1 + 1 + 4),
        ({"width": 2, "order.2e": 0}, 2 * 2 + 2 + 2 + 4),
        ({"hidden": 0}, 4),
    ],
)
def test_parameters_are_counted_for_any_widths(widths, expected):
    count = counter(GROUPS, parameters(make_network(), LAYOUT))
    assert count(widths) == {"parameters": expected}


def test_weights_multiply_every_component_that_they_read():
    def name(parameter):
        return "maps" if parameter.startswith("first") else None

    count = counter(GROUPS, multiplications(LAYOUT, name, 2))
    assert count({}) == {"maps": 2 * 2 * 6 * 3}
    assert count({"order.2e": 0, "hidden": 1}) == {"maps": 2 * 1 * 3 * 3}


def test_amounts_of_one_name_are_added():
    count = counter(
        GROUPS,
        [Amount("sum", ((HIDDEN,),), 3), Amount("sum", ((HIDDEN,),)), Amount("sum", factor=5)],
        [lambda channels: {"sum": 10 * channels["features"], "own": 1}],
    )
    assert count({}) == {"sum": 4 * 2 + 5 + 30, "own": 1}
    assert count({"width": 1, "hidden": 0}) == {"sum": 5 + 10, "own": 1}


def test_sizes_that_follow_from_channels_are_those_of_their_parts():
    amounts = [Amount("half", ((Part(1, "half"),),))]
    count = counter(GROUPS, amounts, tied=lambda channels: {"half": channels["features"] // 2})
    assert count({}) == {"half": 1}
    assert count({"width": 1}) == {"half": 0}


def test_operations_of_edges_go_with_the_neighbours():
    totals = {"parameters": 7.0, "per atom": 5.0, "per edge": 3.0}
    assert cost_model(lambda _: totals, neighbours=10)({}) == Cost(parameters=7, flops=35.0)
