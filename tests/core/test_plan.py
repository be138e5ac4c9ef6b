import json
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irrepress.core.errors import UserError
from irrepress.core.groups import Group, widths_of
from irrepress.core.plan import Plan, write_summary


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


def test_layers_survive_the_file_and_what_follows(tmp_path):
    groups = make_groups()
    whole, path = Plan.identity(groups), tmp_path / "plan.json"
    fewer = replace(whole, layers=(0, 2))
    for plan in (whole, fewer):
        plan.save(path)
        assert Plan.load(path).layers == plan.layers and Plan.load(path).edits == ()
        assert ("layers" in json.loads(path.read_text())) == (plan.layers is not None)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"layers": [0, 3]}))
    assert Plan.load(path).layers == (0, 3)
    assert Plan.load(path).edits == ("layers 0, 3 instead of 0, 2",)
    assert fewer.cut_order(groups, above=1).layers == fewer.then(whole).layers == (0, 2)
    with pytest.raises(UserError, match="keeps the layers 0, 2; layers can only be dropped by the"):
        whole.then(fewer)


@pytest.mark.parametrize("layers", [3, [], [2, 0], [1, 1], [-1, 2], ["0"], [True, 2], {"0": 1}])
def test_layers_that_are_none_are_refused(tmp_path, layers):
    path = tmp_path / "plan.json"
    Plan.identity(make_groups()).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"layers": layers}))
    with pytest.raises(UserError, match=r"plan\.json: 'layers' must list the layers .*; correct"):
        Plan.load(path)


def edited(path, **changes) -> Plan:
    """Change the channels kept by groups in a plan's file, as an editor would, and read it."""
    content = json.loads(path.read_text())
    content["cutoff"] = changes.pop("cutoff", content.get("cutoff"))
    for name, keep in changes.items():
        content["groups"][name]["keep"] = keep
    path.write_text(json.dumps(content))
    return Plan.load(path)


def test_what_was_edited_by_hand_is_told(tmp_path):
    path = tmp_path / "plan.json"
    Plan.identity(make_groups()).save(path)
    assert edited(path).edits == ()
    plan = edited(path, **{"features.1.1e": "0-3, 6"}, cutoff=4.5)
    assert plan.keep["features.1.1e"] == (0, 1, 2, 3, 6)
    assert plan.edits == (
        "cutoff 4.5 Å instead of that of the unpruned model",
        "features.1.1e keeps 5 of 8 instead of 8",
    )
    plan.save(path)  # a plan that a program writes is a plan that was made
    assert Plan.load(path).edits == ()
    (edit,) = edited(path, **{"features.1.1e": "0-4"}).edits
    assert edit == "features.1.1e keeps other channels, 5 of 8 as before"
    assert edited(path, **{"features.1.1e": "6,0-3"}).edits == ()  # the same, written otherwise


def test_a_plan_written_by_hand_is_told_as_such(tmp_path):
    path = tmp_path / "plan.json"
    Plan.identity(make_groups()).save(path)
    content = json.loads(path.read_text())
    del content["made"]
    path.write_text(json.dumps(content))
    assert Plan.load(path).edits == ("what stays was written by hand",)
    path.write_text(json.dumps(content | {"made": "by me"}))
    with pytest.raises(UserError, match=r"plan\.json: 'made' .* edit 'groups'"):
        Plan.load(path)


def test_a_summary_is_replaced_only_where_it_tells_of_another_plan(tmp_path):
    path = tmp_path / "plan.json"
    groups = make_groups()
    summary = {"irreps": ["16x0e"], "fraction": {"flops": 0.5, "time": 0.4}}
    Plan.identity(groups).save(path, summary)
    os.utime(path, (1, 1))
    before = path.read_bytes()
    assert not write_summary(path, {"irreps": ["16x0e"], "fraction": {"flops": 0.5}})
    assert path.read_bytes() == before
    assert write_summary(path, {"irreps": ["8x0e"], "fraction": {"flops": 0.25}})
    assert json.loads(path.read_text())["summary"]["irreps"] == ["8x0e"]
    assert path.stat().st_mtime == 1 and Plan.load(path).edits == ()


@pytest.mark.parametrize("cutoff", ["4.5 Å", -1, 0, [4.5], True, float("inf"), float("nan")])
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keep": "0-99999999999"}, "is outside 0-7"),
        ({"keep": "9" * 5000}, "is outside 0-7"),
        ({"keep": "0-1, 8"}, "'8' is outside 0-7"),
        ({"keep": "-1"}, "'-1' is not a channel"),
        ({"keep": "1.5"}, "is not a channel"),
        ({"keep": "²"}, "is not a channel"),
        ({"keep": "0-3, 2-5"}, "'2-5' are listed twice"),
        ({"keep": "4, 4"}, "listed twice"),
        ({"keep": [0, 1]}, r"'keep' must be text such as .* it is \[0, 1\]"),
        ({"keep": None}, "'keep' must be text"),
        ({"keep": 3}, "'keep' must be text"),
        ({"channels": "eight"}, "'channels' must be the group's number"),
        ({"channels": "8"}, "'channels' must be the group's number"),
        ({"channels": 64.9}, r"whole number.* it is 64\.9"),
        ({"channels": 8.0}, "whole number"),
        ({"channels": True}, "whole number"),
        ({"channels": -8}, "whole number"),
        ({"channels": 10**30}, "whole number from 1 to"),
        ({"channels": None}, "whole number"),
        ({"channel": 8}, "unknown key 'channel'; did you mean 'channels'"),
    ],
)
def test_a_group_that_is_no_group_is_one_clear_message(tmp_path, change, message):
    path = tmp_path / "plan.json"
    Plan.identity(make_groups()).save(path)
    content = json.loads(path.read_text())
    content["groups"]["features.1.1e"] |= change
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"plan\.json: group 'features\.1\.1e': .*{message}"):
        Plan.load(path)


@pytest.mark.parametrize("entry", [None, [], "0-7", 8, {}, {"keep": "0-7"}, {"channels": 8}])
def test_a_group_that_lacks_a_key_is_one_clear_message(tmp_path, entry):
    path = tmp_path / "plan.json"
    Plan.identity(make_groups()).save(path)
    content = json.loads(path.read_text())
    content["groups"]["filter.1e"] = entry
    path.write_text(json.dumps(content))
    with pytest.raises(
        UserError, match=r"group 'filter\.1e': needs the keys 'channels' and 'keep'"
    ):
        Plan.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": None}, "'groups' must hold the groups"),
        ({"groups": []}, "'groups' must hold the groups"),
        ({"groups": {}}, "'groups' must hold the groups"),
        ({"provenance": "mine"}, "'provenance' must hold keys"),
        ({"cuttoff": 4.5}, "unknown key 'cuttoff'; did you mean 'cutoff'"),
        ({"schema_version": True}, "schema_version: is True"),
        ({"schema_version": "1"}, "schema_version: is '1'"),
    ],
)
def test_a_file_that_is_no_plan_is_one_clear_message(tmp_path, change, message):
    path = tmp_path / "plan.json"
    Plan.identity(make_groups()).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=rf"plan\.json: .*{message}"):
        Plan.load(path)


def test_a_group_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "plan.json"
    Plan.identity(make_groups()).save(path)
    text = path.read_text().replace("features.1.1e", "features.1.0e")
    path.write_text(text)
    with pytest.raises(UserError, match=r"key 'features\.1\.0e' occurs twice"):
        Plan.load(path)


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
    with pytest.raises(UserError, match="schema_version: is 99"):
        Plan.load(path)


def test_tied_groups_must_have_equal_size():
    groups = [Group("a", 0, "0e", 4, "w"), Group("b", 0, "0e", 5, "w")]
    with pytest.raises(UserError, match="equal size"):
        widths_of(groups)
