from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irrepress.training.batches import (
    EqualBatches,
    Limit,
    LimitedBatches,
    Permutations,
    cut,
    fewest_structures,
)

# Sizes lie between 1 and 9, limits above.
FIRST = 100  # so that indices are not places


@st.composite
def limited(draw) -> tuple[np.ndarray, dict]:
    """Indices, and the arguments of `LimitedBatches` without the stream."""
    count = draw(st.integers(1, 40))
    sizes = st.lists(st.integers(1, 9), min_size=FIRST + count, max_size=FIRST + count)
    limits = [
        Limit(f"max_{unit}", unit, draw(st.integers(9, 40)), np.array(draw(sizes), dtype=np.int32))
        for unit in draw(st.sampled_from([["atoms"], ["atoms", "edges"]]))
    ]
    return FIRST + np.arange(count), {
        "batch_size": draw(st.integers(1, 8)),
        "limits": limits,
        "world_size": draw(st.integers(1, 3)),
    }


def check_limits(batch, batch_size, limits):
    assert 0 < len(batch) <= batch_size
    for limit in limits:
        assert limit.sizes[batch].sum() <= limit.largest


@settings(deadline=None, max_examples=60)
@given(case=limited(), seed=st.integers(0, 2**31))
def test_limited_batches_are_permutation_after_permutation(case, seed):
    indices, arguments = case
    batches = LimitedBatches(Permutations(indices, seed), **arguments)
    stream = Permutations(indices, seed)
    for step in range(2 * len(indices)):
        ranks = [batches.batch(step, rank) for rank in range(arguments["world_size"])]
        for batch in ranks:
            check_limits(batch, arguments["batch_size"], arguments["limits"])
        # All ranks together take the next piece of the stream.
        start, stop = batches.drawn(step), batches.drawn(step + 1)
        expected = Counter(stream.between(start, stop).tolist())
        assert Counter(np.concatenate(ranks).tolist()) == expected
    assert batches.drawn(0) == 0
    assert stop >= 2 * len(indices)  # more than one permutation was seen


@settings(deadline=None, max_examples=30)
@given(case=limited(), seed=st.integers(0, 2**31), steps=st.lists(st.integers(0, 30), max_size=8))
def test_limited_batches_depend_on_the_step_alone(case, seed, steps):
    indices, arguments = case
    rank = arguments["world_size"] - 1
    through = LimitedBatches(Permutations(indices, seed), **arguments)
    expected = [through.batch(step, rank).tolist() for step in range(31)]
    jumping = LimitedBatches(Permutations(indices, seed), **arguments)
    assert [jumping.batch(step, rank).tolist() for step in steps] == [expected[s] for s in steps]


@settings(deadline=None, max_examples=60)
@given(case=limited())
def test_cut_batches_are_as_large_as_can_be(case):
    indices, arguments = case
    batch_size, limits = arguments["batch_size"], arguments["limits"]
    cuts = cut(indices, batch_size, limits)
    assert cuts[0] == 0 and cuts[-1] == len(indices)
    for start, stop in pairwise(cuts):
        check_limits(indices[start:stop], batch_size, limits)
        if stop < len(indices):
            with pytest.raises(AssertionError):
                check_limits(indices[start : stop + 1], batch_size, limits)


@given(limited(), st.integers(0, 5), st.integers(0, 30))
def test_every_batch_holds_as_many_structures_as_promised(case, seed, step):
    indices, rules = case
    least = fewest_structures(indices, rules["batch_size"], rules["limits"])
    batch = LimitedBatches(Permutations(indices, seed), **rules).batch(step)
    assert 1 <= least <= len(batch)


def test_nothing_is_cut_into_nothing():
    assert cut(np.array([], dtype=np.int64), 3, []) == [0]


def test_without_limits_both_kinds_of_batches_are_the_same():
    for world_size in (1, 3):
        equal = EqualBatches(Permutations(np.arange(17), 5), 4, world_size)
        limited = LimitedBatches(Permutations(np.arange(17), 5), 4, [], 1)
        for step in range(20):
            for rank in range(world_size):
                batch = equal.batch(step, rank)
                assert np.array_equal(batch, limited.batch(step * world_size + rank))
            assert equal.drawn(step) == step * world_size * 4


def test_ranks_share_a_step_evenly():
    rng = np.random.default_rng(0)
    sizes = rng.gamma(2.0, 15.0, 2000).astype(np.int32) + 1
    limit = Limit("max_edges", "edges", 600, sizes)
    batches = LimitedBatches(Permutations(np.arange(2000), 0), 64, [limit], 4)
    sums = np.array(
        [[sizes[batches.batch(step, rank)].sum() for rank in range(4)] for step in range(60)]
    )
    assert (sums.max(axis=1) / sums.mean(axis=1)).mean() < 1.03
    assert sums.mean() > 0.9 * 600  # and memory is used


def test_ranks_keep_batches_that_cannot_be_shared_otherwise():
    class InOrder(Permutations):
        def _permuted(self, number):
            return self.indices

    # From the largest on, each rank would get a 6 and a 4, and the last 4 has no room.
    limit = Limit("max_atoms", "atoms", 12, np.array([6, 6, 4, 4, 4]))
    batches = LimitedBatches(InOrder(np.arange(5), 0), 5, [limit], 2)
    assert batches.batch(0, 0).tolist() == [0, 1]
    assert batches.batch(0, 1).tolist() == [2, 3, 4]
