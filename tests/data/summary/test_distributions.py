"""Histograms and quantiles agree with numpy's."""

import numpy as np
import pytest

from irrepress.data.summary.distributions import LogHistogram, distribution_of

RNG = np.random.default_rng(3)


def total(distribution):
    return sum(distribution.counts) + distribution.below + distribution.above


@pytest.mark.parametrize(
    "values",
    [
        RNG.normal(size=500),
        RNG.standard_cauchy(5000),
        np.array([0.0, -3.5]),
        np.concatenate([RNG.normal(size=1000), [1e6]]),
    ],
)
def test_every_value_is_counted_where_it_lies(values):
    found = distribution_of(values)
    edges = np.array(found.edges)
    assert found.count == total(found) == len(values)
    assert (found.minimum, found.maximum) == (values.min(), values.max())
    assert np.all(np.diff(edges) > 0)
    assert found.below == (values < edges[0]).sum()
    assert found.above == (values > edges[-1]).sum()
    inside = values[(values >= edges[0]) & (values <= edges[-1])]
    assert found.counts == np.histogram(inside, edges)[0].tolist()
    assert found.below + found.above <= 0.05 * len(values)
    for share, value in found.quantiles.items():
        assert value == np.quantile(values, float(share))


def test_one_value_far_out_does_not_press_the_others_into_one_bin():
    found = distribution_of(np.concatenate([RNG.normal(size=1000), [1e6]]))
    assert found.above == 1 and found.maximum == 1e6
    assert max(found.counts) < 200


@pytest.mark.parametrize("sizes", [[5], [3, 3, 4], range(1, 40), [2, 444, 31, 30], range(2, 3000)])
def test_whole_numbers_lie_in_the_middle_of_bins(sizes):
    sizes = np.array(sizes)
    found = distribution_of(sizes, whole=True)
    edges = np.array(found.edges)
    assert total(found) == len(sizes)
    assert np.all(edges % 1 == 0.5) and len(edges) <= 62
    inside = sizes[(sizes > edges[0]) & (sizes < edges[-1])]
    assert found.counts == np.histogram(inside, edges)[0].tolist()


def test_equal_values_have_one_bin():
    found = distribution_of(np.full(9, -2.0))
    assert found.counts == [9] and found.edges[0] < -2 < found.edges[1]


def test_values_that_are_not_finite_are_no_values():
    assert distribution_of(np.array([np.nan, np.inf])) is None
    assert distribution_of(np.array([np.nan, 1.0])).count == 1
    histogram = LogHistogram()
    histogram.add(np.array([np.nan]))
    assert histogram.distribution() is None


class TestLogHistogram:
    def test_counts_what_streams_by(self):
        values = 10 ** RNG.uniform(-5.9, 3.9, 20_000)
        histogram = LogHistogram()
        for part in np.array_split(values, 7):
            histogram.add(part)
        found = histogram.distribution()
        assert found.counts == np.histogram(values, found.edges)[0].tolist()
        assert total(found) == found.count == len(values)
        assert found.edges[1] / found.edges[0] == pytest.approx(10**0.1)

    def test_quantiles_are_right_within_their_bin(self):
        values = np.abs(RNG.normal(size=30_000)) ** 3
        histogram = LogHistogram()
        histogram.add(values)
        for share, value in histogram.distribution().quantiles.items():
            assert value == pytest.approx(np.quantile(values, float(share)), rel=0.03)

    def test_zeros_and_huge_values_lie_beside_the_bins(self):
        histogram = LogHistogram()
        histogram.add(np.array([0.0, 0.0, 1e-7, 0.5, 2e4]))
        found = histogram.distribution()
        assert (found.below, found.above, found.counts) == (3, 1, [1])
        assert (found.minimum, found.maximum) == (0, 2e4)
        assert found.quantiles["0.25"] == 0

    def test_zeros_only(self):
        histogram = LogHistogram()
        histogram.add(np.zeros(4))
        found = histogram.distribution()
        assert (found.below, found.counts, found.quantiles["0.5"]) == (4, [], 0)
