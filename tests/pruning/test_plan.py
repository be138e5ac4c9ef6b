import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irrepress.errors import UserError
from irrepress.pruning.blocks import Group, widths_of
from irrepress.pruning.plan import Plan


def make_groups() -> list[Group]:
    return [
        Group("features.0.0e", 0, "0e", 16, "0.0e", floor=1),
        Group("messages.0.0e", 0, "0e", 16, "0.0e", floor=1),
        Group("features.1.0e", 1, "0e", 16, "1.0e", floor=2),
        Group("features.1.1e", 1, "1e", 8, "1.1e"),
        Group("filter.0e", 0, "0e", 1, "filter.0e", axis="order", floor=1),
        Group("filter.1e", 0, "1e", 1, "filter.1e", axis="order"),
        Group("filter.2e", 0, "2e", 1, "filter.2e", axis="order"),
    ]


@given(seed=st.integers(0, 10_000), cut=st.integers(0, 2))
@settings(max_examples=50, deadline=None)
def test_a_random_plan_survives_its_file(tmp_path_factory, seed, cut):
    groups = make_groups()
    plan = Plan.random(groups, np.random.default_rng(seed)).cut_order(groups, above=cut)
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    plan.save(path, summary={"irreps": ["a"]})
    loaded = Plan.load(path)
    assert dict(loaded.keep) == dict(plan.keep)
    assert dict(loaded.channels) == dict(plan.channels)
    loaded.check(groups)


def test_a_cutoff_survives_the_file_and_what_follows(tmp_path):
    groups = make_groups()
    whole, path = Plan.identity(groups), tmp_path / "plan.json"
    shorter = replace(whole, cutoff=4.5)
    for plan in (whole, shorter):
        plan.save(path)
        assert Plan.load(path).cutoff == plan.cutoff
    assert shorter.cut_order(groups, above=1).cutoff == 4.5
    assert shorter.then(whole).cutoff == whole.then(shorter).cutoff == 4.5
    assert shorter.then(replace(whole, cutoff=4.0)).cutoff == 4.0


@pytest.mark.parametrize("cutoff", ["4.5 Å", -1, 0, [4.5], True])
def test_a_cutoff_that_is_no_radius_is_refused(tmp_path, cutoff):
    path = tmp_path / "plan.json"
    Plan.identity(make_groups()).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"cutoff": cutoff}))
    with pytest.raises(UserError, match=r"plan\.json: the cutoff must be a radius in Å"):
        Plan.load(path)


def without_empty(plan: Plan, groups: list[Group]) -> list[Group]:
    """The groups of the model that a plan makes."""
    return [
        replace(g, channels=len(plan.keep[g.name]), floor=min(g.floor, len(plan.keep[g.name])))
        for g in groups
        if plan.keep[g.name]
    ]


@given(seed=st.integers(0, 10_000), cuts=st.tuples(st.integers(0, 2), st.integers(0, 2)))
@settings(max_examples=50, deadline=None)
def test_one_plan_then_another_is_one_plan(seed, cuts):
    groups, rng = make_groups(), np.random.default_rng(seed)
    first = Plan.random(groups, rng).cut_order(groups, above=cuts[0])
    left = without_empty(first, groups)
    second = Plan.random(left, rng).cut_order(left, above=cuts[1])
    both = first.then(second)
    both.check(groups)
    for g in groups:
        names = np.arange(g.channels) + 100  # channels that do not know their numbers
        kept = names[list(first.keep[g.name])]
        kept = kept[list(second.keep.get(g.name, ()))]
        assert names[list(both.keep[g.name])].tolist() == kept.tolist()
    assert dict(first.then(Plan.identity(left)).keep) == dict(first.keep)
    assert dict(Plan.identity(groups).then(first).keep) == dict(first.keep)


def test_a_following_plan_of_another_model_is_refused():
    groups = make_groups()
    first = Plan.random(groups, np.random.default_rng(0))
    with pytest.raises(UserError, match="belongs to another model"):
        first.then(Plan.identity(groups))


def test_identity_keeps_every_block():
    groups = make_groups()
    plan = Plan.identity(groups)
    assert plan.kept_blocks() == plan.total_blocks() == 16 * 3 + 8 + 3
    assert plan.widths(groups) == widths_of(groups)


def test_a_person_can_edit_the_file(tmp_path):
    groups = make_groups()
    path = tmp_path / "plan.json"
    Plan.identity(groups).save(path)
    content = json.loads(path.read_text())
    content["groups"]["features.1.1e"]["keep"] = "0-2, 5,7"
    path.write_text(json.dumps(content))
    plan = Plan.load(path)
    plan.check(groups)
    assert plan.keep["features.1.1e"] == (0, 1, 2, 5, 7)


@pytest.mark.parametrize(
    ("group", "keep", "message"),
    [
        ("features.1.1e", "0-x", "'0-x' is not a channel"),
        ("features.1.1e", "5-2", "runs backwards"),
        ("features.1.1e", "0-8", "outside 0-7"),
        ("features.1.0e", "3", "at least 2"),
        ("features.0.0e", "0-3", "same number of channels"),
        ("filter.1e", "", "cut orders from the top"),
    ],
)
def test_a_wrong_edit_is_one_clear_message(tmp_path, group, keep, message):
    groups = make_groups()
    path = tmp_path / "plan.json"
    Plan.identity(groups).save(path)
    content = json.loads(path.read_text())
    content["groups"][group]["keep"] = keep
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        Plan.load(path).check(groups)


def test_a_plan_of_another_model_is_refused():
    groups = make_groups()
    plan = Plan.identity(groups[:-1])
    with pytest.raises(UserError, match=r"'filter\.2e' is missing"):
        plan.check(groups)
    with pytest.raises(UserError, match=r"no group 'filter\.2e'.*did you mean 'filter"):
        Plan.identity(groups).check(groups[:-1])


def test_another_schema_version_is_refused(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text('{"schema_version": 99, "groups": {}}')
    with pytest.raises(UserError, match="version is 99"):
        Plan.load(path)


def test_tied_groups_must_have_equal_size():
    groups = [Group("a", 0, "0e", 4, "w"), Group("b", 0, "0e", 5, "w")]
    with pytest.raises(UserError, match="equal size"):
        widths_of(groups)
