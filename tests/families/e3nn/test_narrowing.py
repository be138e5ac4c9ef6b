"""Narrowing of single e3nn modules: the kept channels compute what they computed."""

import pytest
import torch

pytest.importorskip("e3nn", reason="no family with e3nn is installed in this environment")
from e3nn.nn import FullyConnectedNet
from e3nn.o3 import FullyConnectedTensorProduct, Irreps, Linear

from irrepress.families.e3nn.narrowing import (
    copy_rest,
    narrow_fully_connected,
    narrow_linear,
    narrow_linear_chain,
    narrow_tensor_product,
    segments,
)


def components(irreps: Irreps, kept: dict) -> torch.Tensor:
    """Indices of the components of the kept channels."""
    found = []
    for (mul, irrep), part, segment in zip(irreps, irreps.slices(), segments(irreps), strict=True):
        chosen = kept.get(segment, torch.arange(mul))
        index = torch.arange(part.start, part.stop).reshape(mul, irrep.dim)
        found.append(index[chosen].flatten())
    return torch.cat(found)


def spread(small: torch.Tensor, index: torch.Tensor, size: int) -> torch.Tensor:
    """Put components back into their places among zeros."""
    return torch.zeros(*small.shape[:-1], size, dtype=small.dtype).index_copy(-1, index, small)


def test_segments_tell_terms_of_one_irrep_apart():
    assert segments(Irreps("3x0e+2x1o+1x0e")) == [("0e", 0), ("1o", 0), ("0e", 1)]


def test_linear_with_a_vanished_irrep_and_a_second_segment():
    rows = {("0e", 0): torch.tensor([1, 3, 4]), ("1o", 0): torch.tensor([], dtype=torch.long)}
    columns = {("0e", 0): torch.tensor([0, 2]), ("2e", 0): torch.tensor([1])}
    wide = Linear("5x0e+2x1o+3x2e+2x0e", "4x0e+3x2e+2x1o").double()
    narrow = Linear("3x0e+3x2e+2x0e", "2x0e+1x2e+2x1o").double()
    narrow_linear(wide, narrow, rows, columns)
    x = torch.randn(7, narrow.irreps_in.dim, dtype=torch.float64)
    inputs = components(wide.irreps_in, rows)
    outputs = components(wide.irreps_out, columns)
    expected = wide(spread(x, inputs, wide.irreps_in.dim))[:, outputs]
    assert torch.allclose(narrow(x), expected, atol=1e-12)
    assert float(expected.abs().max()) > 0.1


def test_tensor_product_with_fewer_operands():
    rows = {("0e", 0): torch.tensor([0, 2]), ("1o", 0): torch.tensor([1])}
    operands = {("0e", 0): torch.tensor([3, 1])}
    columns = {("0e", 0): torch.tensor([1]), ("1o", 0): torch.tensor([0, 2])}
    wide = FullyConnectedTensorProduct("3x0e+2x1o", "4x0e", "2x0e+3x1o").double()
    narrow = FullyConnectedTensorProduct("2x0e+1x1o", "2x0e", "1x0e+2x1o").double()
    narrow_tensor_product(wide, narrow, rows, operands, columns)
    x, y = (torch.randn(7, size, dtype=torch.float64) for size in (5, 2))
    expected = wide(
        spread(x, components(wide.irreps_in1, rows), wide.irreps_in1.dim),
        spread(y, components(wide.irreps_in2, operands), wide.irreps_in2.dim),
    )[:, components(wide.irreps_out, columns)]
    assert torch.allclose(narrow(x, y), expected, atol=1e-12)
    assert float(expected.abs().max()) > 0.1


def test_fully_connected_network_at_both_ends():
    inputs, outputs = torch.tensor([0, 3]), torch.tensor([5, 1, 2])
    wide = FullyConnectedNet([4, 8, 6], torch.nn.functional.silu).double()
    narrow = FullyConnectedNet([2, 8, 3], torch.nn.functional.silu).double()
    narrow_fully_connected(wide, narrow, inputs=inputs, outputs=outputs)
    x = torch.randn(7, 2, dtype=torch.float64)
    assert torch.allclose(narrow(x), wide(spread(x, inputs, 4))[:, outputs], atol=1e-12)


@pytest.mark.parametrize("hidden", [1, 3, 6])
def test_chain_of_linear_maps_is_factorized_exactly(hidden):
    first, second = (torch.randn(*shape, dtype=torch.float64) for shape in ((5, 6), (6, 1)))
    new_first, new_second = narrow_linear_chain(first, second, hidden)
    assert new_first.shape == (5, hidden) and new_second.shape == (hidden, 1)
    assert torch.allclose(new_first @ new_second, first @ second, atol=1e-12)


def test_chain_that_gives_nothing_stays_finite():
    new_first, new_second = narrow_linear_chain(torch.ones(5, 4), torch.zeros(4, 1), 2)
    assert torch.equal(new_first @ new_second, torch.zeros(5, 1))


def test_chain_of_several_outputs_is_refused():
    with pytest.raises(ValueError, match="2 outputs"):
        narrow_linear_chain(torch.ones(5, 4), torch.ones(4, 2), 1)


def test_copying_the_rest_refuses_what_was_forgotten():
    wide = torch.nn.ModuleDict({"a": torch.nn.Linear(3, 2), "b": torch.nn.Linear(3, 3)})
    small = torch.nn.ModuleDict({"a": torch.nn.Linear(2, 2), "b": torch.nn.Linear(3, 3)})
    with pytest.raises(ValueError, match=r"a\.weight: \(2, 3\) -> \(2, 2\)"):
        copy_rest(wide, small, [])
    before = small["a"].weight.detach().clone()
    copy_rest(wide, small, [small["a"]])
    assert torch.equal(small["b"].weight, wide["b"].weight)
    assert torch.equal(small["a"].weight, before)
