import numpy as np
import pytest

from irrepress.core.groups import Group
from irrepress.pruning.normalization import normalize

GROUPS = [
    *(Group(f"filter.{k}e", 0, f"{k}e", 1, f"filter.{k}e", axis="order") for k in range(2)),
    *(
        Group(f"{site}.{layer}.{irrep}", layer, irrep, channels, f"{layer}.{irrep}")
        for layer in range(2)
        for irrep, channels in (("0e", 8), ("1e", 4))
        for site in ("features", "messages")
    ),
]


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    return {
        g.name: 10.0 ** rng.normal(size=g.channels) * (1e3 if g.axis == "order" else 1)
        for g in GROUPS
    }


def mean(values, chosen):
    return np.concatenate([values[g.name] for g in GROUPS if chosen(g)]).mean()


def channels(g):
    return g.axis == "channel"


def test_every_group_has_a_mean_of_one(values):
    found = normalize(values, GROUPS, "group", "taylor")
    for group in GROUPS:
        assert found[group.name].mean() == pytest.approx(1)


def test_every_layer_has_a_mean_of_one_and_the_filter_is_none_of_them(values):
    found = normalize(values, GROUPS, "layer", "taylor")
    for layer in range(2):
        assert mean(found, lambda g, i=layer: channels(g) and g.layer == i) == pytest.approx(1)
    assert mean(found, lambda g: g.axis == "order") == pytest.approx(1)
    ratio = values["features.1.0e"][0] / values["messages.1.1e"][0]
    assert found["features.1.0e"][0] / found["messages.1.1e"][0] == pytest.approx(ratio)


def test_every_order_has_a_mean_of_one(values):
    found = normalize(values, GROUPS, "order", "taylor")
    for order in range(2):
        assert mean(found, lambda g, k=order: channels(g) and g.l == k) == pytest.approx(1)
    ratio = values["features.0.1e"][0] / values["features.1.1e"][0]
    assert found["features.0.1e"][0] / found["features.1.1e"][0] == pytest.approx(ratio)


@pytest.mark.parametrize(
    ("criterion", "how"),
    [
        ("magnitude", "group"),
        ("activation", "group"),
        ("taylor", "none"),
        ("fisher", "none"),
        ("hessian", "none"),
        ("random", "none"),
    ],
)
def test_auto_is_what_the_criterion_needs(values, criterion, how):
    found, expected = (normalize(values, GROUPS, h, criterion) for h in ("auto", how))
    for name, scores in expected.items():
        np.testing.assert_array_equal(found[name], scores)


def test_the_order_within_a_group_stays_and_zeros_are_no_trouble(values):
    zeros = values | {"messages.0.1e": np.zeros(4)}
    for how in ("none", "group", "layer", "order"):
        found = normalize(zeros, GROUPS, how, "taylor")
        assert (found["messages.0.1e"] == 0).all()
        for name, scores in zeros.items():
            np.testing.assert_array_equal(
                np.argsort(found[name], kind="stable"), np.argsort(scores, kind="stable")
            )


def test_what_is_given_is_not_changed(values):
    before = {name: scores.copy() for name, scores in values.items()}
    normalize(values, GROUPS, "layer", "taylor")
    for name, scores in before.items():
        np.testing.assert_array_equal(values[name], scores)
