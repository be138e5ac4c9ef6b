"""Splits keep siblings together, come near the fractions and never change."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from samples import random_structures

from irrepress.config import Split
from irrepress.errors import UserError
from irrepress.structures.splits import (
    PARTS,
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


# --- official test files ------------------------------------------------------------------


def test_official_test_structures_are_the_test_part_as_a_whole():
    official = [90, 5, 17]
    parts = split_indices(keys_of([1] * 100), Split(train=0.6, valid=0.2, test=0.2), official)
    assert parts["test"].tolist() == [5, 17, 90]
    assert len(parts["train"]) == pytest.approx(0.75 * 97, abs=1)
    assert len(parts["train"]) + len(parts["valid"]) == 97


def test_siblings_in_official_test_files_are_warned_of(caplog):
    keys = keys_of([1] * 20)
    split_indices(keys, Split(), [3])
    assert not caplog.records
    keys[4] = keys[3]
    split_indices(keys, Split(), [3])
    assert "1 structures outside the official test files have siblings" in caplog.text


def test_official_test_files_that_leave_nothing():
    keys = keys_of([1] * 4)
    with pytest.raises(UserError, match="all structures are in test_paths"):
        split_indices(keys, Split(), range(4))
    with pytest.raises(UserError, match="2 structures are not in test_paths"):
        split_indices(keys, Split(train=0, valid=0, test=1), [0, 1])
    only_test = split_indices(keys, Split(train=0, valid=0, test=1), range(4))
    assert [len(only_test[part]) for part in PARTS] == [0, 0, 4]


def test_given_splits_are_checked():
    checked = check_splits({"train": [3, 1]}, 4)
    assert {part: checked[part].tolist() for part in PARTS} == {
        "train": [1, 3],
        "valid": [],
        "test": [],
    }
    for bad, message in [
        ({"training": [0]}, "unknown parts"),
        ({"train": [0], "valid": [0]}, "two parts"),
        ({"train": [4]}, "beyond"),
        ({"train": [-1]}, "beyond"),
    ]:
        with pytest.raises(ValueError, match=message):
            check_splits(bad, 4)
