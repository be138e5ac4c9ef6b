"""Splits keep siblings together, come near the fractions and never change."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from samples import random_structures

from irrepress.core.errors import UserError
from irrepress.data.config import Counts, Split
from irrepress.data.splits import (
    PARTS,
    OfficialParts,
    check_splits,
    reduced_composition,
    sibling_key,
    split_indices,
)

SIZES = st.lists(st.integers(1, 30), min_size=3, max_size=60)  # of groups
# percentages of train and valid
FRACTIONS = st.integers(0, 100).flatmap(lambda f: st.tuples(st.just(f), st.integers(0, 100 - f)))


def keys_of(sizes, seed=0):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    keys = np.random.default_rng(seed).integers(0, 2**64, len(sizes), dtype=np.uint64)
    shuffled = np.random.default_rng(seed + 1).permutation(groups)
    return keys[shuffled]


def fractions_of(percentages):
    train, valid = percentages
    return Split(train=train / 100, valid=valid / 100, test=(100 - train - valid) / 100)


@settings(max_examples=60, deadline=None)
@given(sizes=SIZES, percentages=FRACTIONS, seed=st.integers(0, 5))
def test_siblings_stay_together_and_every_wanted_part_has_some(sizes, percentages, seed):
    split = fractions_of(percentages)
    wanted = {part for part in PARTS if getattr(split, part) > 0}
    keys = keys_of(sizes, seed)
    parts = split_indices(keys, split)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(keys)))
    assert {part for part in PARTS if len(parts[part])} == wanted
    owners = [set(keys[parts[part]].tolist()) for part in PARTS]
    assert sum(map(len, owners)) == len(set(keys.tolist()))
    assert all(np.all(np.diff(indices) > 0) for indices in parts.values())


@settings(max_examples=60, deadline=None)
@given(sizes=SIZES, percentages=FRACTIONS, seed=st.integers(0, 5))
def test_sizes_are_within_a_group_of_the_fractions(sizes, percentages, seed):
    split = fractions_of(percentages)
    wanted = [part for part in PARTS if getattr(split, part) > 0]
    keys = keys_of(sizes, seed)
    parts = split_indices(keys, split)
    for part in wanted:
        # A part that is full already gets no further group.
        assert len(parts[part]) <= getattr(split, part) * len(keys) + max(sizes)


@pytest.mark.parametrize("count", [10, 101, 1000])
def test_equal_groups_meet_the_fractions_exactly(count):
    parts = split_indices(keys_of([3] * count), Split())
    sizes = {part: len(parts[part]) / 3 for part in PARTS}
    assert sizes["train"] == pytest.approx(0.7 * count, abs=1)
    assert sizes["valid"] == pytest.approx(0.15 * count, abs=1)
    assert sizes["test"] == pytest.approx(0.15 * count, abs=1)


def test_a_giant_group_goes_where_it_fits():
    for seed in range(20):
        parts = split_indices(keys_of([90, *[1] * 60], seed), Split(train=0.6, valid=0.2, test=0.2))
        assert {part: len(parts[part]) for part in PARTS} == {"train": 90, "valid": 30, "test": 30}


@pytest.mark.parametrize("by", ["group", "composition", "structure"])
def test_keys_depend_on_seed_and_kinship_only(by):
    structures = list(random_structures(40))

    def keys(seed):
        return [sibling_key(s, i, by, seed) for i, s in enumerate(structures)]

    assert keys(1) == keys(1)
    assert not set(keys(1)) & set(keys(2))
    assert len(set(keys(1))) == {"group": 8, "composition": 40, "structure": 40}[by]


def test_keys_are_the_same_on_every_machine():
    structure = next(random_structures(1))
    assert sibling_key(structure, 0, "group", 0) == 2443556021364082775
    assert sibling_key(structure, 5, "structure", 7) == 18441821027602677918


def test_structures_without_a_group_stand_alone():
    from dataclasses import replace

    loners = [replace(s, group="") for s in random_structures(10)]
    assert len({sibling_key(s, i, "group", 0) for i, s in enumerate(loners)}) == 10


def test_composition_is_reduced():
    assert reduced_composition([8, 14, 8, 8, 14, 8]) == reduced_composition([14, 8, 8])
    assert reduced_composition([8, 14]) != reduced_composition([8, 8, 14])


def test_too_few_groups_tells_the_mend():
    with pytest.raises(UserError, match=r"30 structures form 2 .*by: group.*split\.by: structure"):
        split_indices(keys_of([10, 20]), Split())
    with pytest.raises(UserError, match="2 structures form 2") as caught:
        split_indices(keys_of([1, 1]), Split(by="structure"))
    assert "split.by: structure," not in str(caught.value)
    parts = split_indices(keys_of([10, 20]), Split(train=0.5, valid=0, test=0.5))
    assert [len(parts[part]) for part in PARTS] in ([10, 0, 20], [20, 0, 10])


# --- parts that the source gives -----------------------------------------------------------


def official(rest="share", **parts):
    found = OfficialParts(rest)
    for part, indices in parts.items():
        for index in indices:
            found.add(index, part)
    found.add(0, None)  # in no part
    return found


def sizes_of(parts):
    return [len(parts[part]) for part in PARTS]


def test_official_test_structures_are_the_test_part_as_a_whole():
    split = Split(train=0.6, valid=0.2, test=0.2)
    parts = split_indices(keys_of([1] * 100), split, official(test=[90, 5, 17]))
    assert parts["test"].tolist() == [5, 17, 90]
    assert len(parts["train"]) == pytest.approx(0.75 * 97, abs=1)
    assert len(parts["train"]) + len(parts["valid"]) == 97


def test_official_valid_and_test_leave_the_rest_to_train():
    parts = split_indices(keys_of([1] * 10), Split(), official(valid=[1], test=[2, 3]))
    assert parts["train"].tolist() == [0, 4, 5, 6, 7, 8, 9]
    assert (parts["valid"].tolist(), parts["test"].tolist()) == ([1], [2, 3])


def test_valid_is_taken_from_the_official_train_part_with_its_siblings():
    keys = keys_of([5] * 40)
    train = np.arange(0, 100)
    parts = split_indices(
        keys, Split(train=0.8, valid=0.2, test=0), official(train=train, test=range(100, 200))
    )
    assert np.array_equal(np.union1d(parts["train"], parts["valid"]), train)
    assert not np.isin(keys[parts["train"]], keys[parts["valid"]]).any()
    assert len(parts["valid"]) == pytest.approx(20, abs=5)
    assert parts["test"].tolist() == list(range(100, 200))


@pytest.mark.parametrize(("rest", "tests"), [("test", 1950), ("none", 5)])
def test_the_protocol_of_the_study_on_rmd17(rest, tests):
    train = range(1000, 2000)
    parts = split_indices(
        keys_of([1] * 2950),
        Split(by="structure"),
        official(rest, train=train, test=range(5)),
        Counts(train=50, valid=950),
    )
    assert sizes_of(parts) == [50, 950, tests]
    assert np.array_equal(np.union1d(parts["train"], parts["valid"]), list(train))
    assert set(range(5)) <= set(parts["test"].tolist())


@settings(max_examples=60, deadline=None)
@given(
    sizes=SIZES,
    train=st.none() | st.integers(1, 200),
    valid=st.none() | st.integers(1, 200),
    test=st.none() | st.integers(1, 200),
)
def test_counts_are_never_passed_and_siblings_stay_together(sizes, train, valid, test):
    keys = keys_of(sizes)
    counts = Counts(train=train, valid=valid, test=test)
    parts = split_indices(keys, Split(), counts=counts)
    for part in PARTS:
        limit = getattr(counts, part)
        assert 0 < len(parts[part]) <= (limit or len(keys))
    owners = [set(keys[parts[part]].tolist()) for part in PARTS]
    assert sum(map(len, owners)) == len(set.union(*owners))


def test_counts_are_met_exactly_where_no_siblings_bind():
    parts = split_indices(keys_of([1] * 90), Split(), counts=Counts(train=20, valid=30))
    assert sizes_of(parts) == [20, 30, 40]
    fewer = split_indices(keys_of([1] * 90), Split(), counts=Counts(train=20, valid=30, test=7))
    assert sizes_of(fewer) == [20, 30, 7]
    again = split_indices(keys_of([1] * 90), Split(), counts=Counts(train=20, valid=30, test=7))
    assert all(np.array_equal(fewer[part], again[part]) for part in PARTS)
    other = split_indices(
        keys_of([1] * 90), Split(), counts=Counts(train=20, valid=30, test=7), seed=1
    )
    assert not np.array_equal(fewer["test"], other["test"])


def test_siblings_in_an_official_test_part_are_warned_of(caplog):
    keys = keys_of([1] * 20)
    split_indices(keys, Split(), official(test=[3]))
    assert not caplog.records
    keys[4] = keys[3]
    split_indices(keys, Split(), official(test=[3]))
    assert "1 structures outside the official test split have siblings" in caplog.text


def test_official_parts_that_leave_nothing():
    keys = keys_of([1] * 4)
    with pytest.raises(UserError, match="all structures are in test_paths"):
        split_indices(keys, Split(), official(test=range(4)))
    with pytest.raises(UserError, match="2 structures are in no official split"):
        split_indices(keys, Split(train=0, valid=0, test=1), official(test=[0, 1]))
    only_test = split_indices(keys, Split(train=0, valid=0, test=1), official(test=range(4)))
    assert sizes_of(only_test) == [0, 0, 4]


def test_given_splits_are_checked():
    checked = check_splits({"train": [3, 1]}, 4)
    assert {part: checked[part].tolist() for part in PARTS} == {
        "train": [1, 3],
        "valid": [],
        "test": [],
    }
    for bad, message in [
        ({"training": [0]}, "unknown splits"),
        ({"train": [0], "valid": [0]}, "two splits"),
        ({"train": [4]}, "exceeds"),
        ({"train": [-1]}, "exceeds"),
    ]:
        with pytest.raises(ValueError, match=message):
            check_splits(bad, 4)
