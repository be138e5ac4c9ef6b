"""Steps of rounding a plan."""

from itertools import pairwise

from irrepress.families.generic.rounding import drop_dead, fill, grow


def test_the_first_blocks_that_are_removed_come_back():
    keep = {"features": (1, 4)}
    assert grow(keep, "features", 6, 4) == "features: 2 -> 4 channels"
    assert keep == {"features": (0, 1, 2, 4)}


def test_lower_orders_are_kept():
    keep = {"filter.0e": (0,), "filter.1e": (), "filter.2e": (0,)}
    assert fill(keep, keep, "the filter holds all orders up to 2") == [
        "filter.1e: kept, because the filter holds all orders up to 2"
    ]
    assert all(kept == (0,) for kept in keep.values())


def test_what_a_dropped_group_fed_is_dropped_with_it():
    """One after another; groups that keep nothing are not told again."""
    keep = {"a": (), "b": (0, 1), "c": (0,), "d": (0,)}
    order = "abc"

    def dead():
        return {name: f"{before} is gone" for before, name in pairwise(order) if not keep[before]}

    assert drop_dead(keep, dead) == [
        "b: 2 -> 0 channels, because a is gone",
        "c: 1 -> 0 channels, because b is gone",
    ]
    assert keep == {"a": (), "b": (), "c": (), "d": (0,)}
