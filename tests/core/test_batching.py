import pytest

from irrepress.core.batching import in_batches, in_limited_batches


def test_lists_of_a_size_are_read_no_further_than_needed():
    items = iter(range(7))
    batches = in_batches(items, 3)
    assert next(batches) == [0, 1, 2]
    assert next(items) == 3
    assert list(batches) == [[4, 5, 6]]


@pytest.mark.parametrize(
    ("lengths", "batches"),
    [
        ([1, 1, 1, 1], [[1, 1, 1], [1]]),  # the size
        ([4, 4, 4, 1], [[4, 4], [4, 1]]),  # the sum
        ([9, 20, 1, 9], [[9], [20], [1, 9]]),  # one that is too long
        ([10], [[10]]),
        ([], []),
    ],
)
def test_limited_lists(lengths, batches):
    items = ("x" * length for length in lengths)
    found = list(in_limited_batches(items, size=3, most=10))
    assert [[len(item) for item in batch] for batch in found] == batches
