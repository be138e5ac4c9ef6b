import re

import numpy as np
import pytest

from irrepress.core.errors import UserError
from irrepress.core.neighbours import neighbour_list
from irrepress.training import limits
from irrepress.training.limits import make_limits

CUTOFF = 4.0


@pytest.fixture
def limited(settings):
    return settings.model_copy(update={"max_atoms": 20, "max_edges": 1000})


@pytest.fixture
def counted(monkeypatch):
    """How often edges were counted."""
    calls = []
    whole = limits.count_edges

    def count_edges(*arguments):
        calls.append(arguments)
        return whole(*arguments)

    monkeypatch.setattr(limits, "count_edges", count_edges)
    return calls


def test_without_limits_nothing_is_counted(store, settings, tmp_path, counted):
    assert make_limits(store, settings, CUTOFF, tmp_path / "work") == []
    assert not counted and not (tmp_path / "work").exists()


def test_limits_know_the_size_of_every_structure(store, limited, tmp_path):
    atoms, edges = make_limits(store, limited, CUTOFF, tmp_path)
    assert (atoms.key, atoms.largest, edges.key, edges.largest) == (
        "max_atoms",
        20,
        "max_edges",
        1000,
    )
    structures = store.read(np.arange(len(store)))
    assert atoms.sizes.tolist() == [len(s) for s in structures]
    assert edges.sizes.dtype == np.int32
    assert edges.sizes.tolist() == [len(neighbour_list(s, CUTOFF)) for s in structures]


def test_edges_are_counted_once(store, limited, tmp_path, counted):
    first = make_limits(store, limited, CUTOFF, tmp_path)[1]
    again = make_limits(store, limited, CUTOFF, tmp_path)[1]
    assert len(counted) == 1
    assert np.array_equal(first.sizes, again.sizes)
    other = make_limits(store, limited, CUTOFF + 1, tmp_path)[1]
    assert len(counted) == 2
    assert other.sizes.sum() > first.sizes.sum()


def test_edges_of_another_store_are_not_taken(
    store, make_store, labelled, limited, tmp_path, counted
):
    make_limits(store, limited, CUTOFF, tmp_path)
    reverse = make_store(labelled[::-1])
    edges = make_limits(reverse, limited, CUTOFF, tmp_path)[1]
    assert len(counted) == 2
    expected = [len(neighbour_list(s, CUTOFF)) for s in labelled[::-1]]
    assert edges.sizes.tolist() == expected


def test_a_damaged_count_is_made_anew(store, limited, tmp_path, counted):
    first = make_limits(store, limited, CUTOFF, tmp_path)[1]
    (cache,) = tmp_path.iterdir()
    cache.write_bytes(cache.read_bytes()[:100])
    again = make_limits(store, limited, CUTOFF, tmp_path)[1]
    assert len(counted) == 2
    assert np.array_equal(first.sizes, again.sizes)


@pytest.mark.parametrize(
    ("key", "largest", "said"),
    [
        ("max_atoms", 2, "has 3 atoms, more than max_atoms: 2 allows in a batch"),
        ("max_edges", 30, "edges, more than max_edges: 30 allows in a batch"),
    ],
)
def test_structures_that_are_too_large_are_told(store, limited, tmp_path, key, largest, said):
    limited = limited.model_copy(update={key: largest})
    with pytest.raises(UserError) as error:
        make_limits(store, limited, CUTOFF, tmp_path)
    message = str(error.value)
    assert message.startswith(f"{store.path}: structure ") and said in message
    # What the message proposes is enough.
    index, mend = (int(re.search(p, message)[1]) for p in (r"structure (\d+)", r"to (\d+) or more"))
    assert index in np.concatenate([store.splits["train"], store.splits["valid"]])
    make_limits(store, limited.model_copy(update={key: mend}), CUTOFF, tmp_path)


def test_structures_of_the_test_part_may_be_larger(make_store, labelled, limited, tmp_path):
    # The split is by structure: find the one that is neither trained on nor validated with.
    store = make_store(labelled, train=0.5, valid=0.4)
    sizes = store.num_atoms[np.concatenate([store.splits["train"], store.splits["valid"]])]
    assert len(store.splits["test"])
    limits = make_limits(
        store, limited.model_copy(update={"max_atoms": int(sizes.max())}), CUTOFF, tmp_path
    )
    assert (limits[1].sizes[store.splits["test"]] == 0).all()
