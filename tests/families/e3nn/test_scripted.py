"""What scripted convolutions stand on: chunks of atoms, and spherical harmonics."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from irrepress.families.e3nn.scripted import split


@settings(max_examples=100, deadline=None, derandomize=True)
@given(counts=st.lists(st.integers(0, 60), max_size=40).map(sorted), most=st.integers(1, 500))
def test_chunks_hold_all_atoms_and_no_more_edges_than_they_may(counts, most):
    ends = split(counts, most)
    assert ends == sorted(set(ends))
    assert (ends[-1] if ends else 0) == len(counts)
    for first, last in zip([0, *ends], ends, strict=False):
        assert last - first == 1 or (last - first) * counts[last - 1] <= most
        if last < len(counts):  # the next atom had no room
            assert (last + 1 - first) * counts[last] > most


def test_chunks_compile():
    assert torch.jit.script(split)([1, 2, 3], 4) == split([1, 2, 3], 4)
