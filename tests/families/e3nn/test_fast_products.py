"""Faster tensor products on the CPU: what e3nn computes, derivatives included."""

import copy

import pytest
import torch
from channelwise_products import channelwise, irreps_of
from e3nn.o3 import FullyConnectedTensorProduct, TensorProduct
from hypothesis import given, settings
from hypothesis import strategies as st

from irrepress.families.e3nn.fast_products import ChannelwiseProduct, fast_products


def inputs_of(product: TensorProduct, edges: int, dtype=torch.float64) -> list[torch.Tensor]:
    torch.manual_seed(0)
    sizes = (product.irreps_in1.dim, product.irreps_in2.dim, product.weight_numel)
    return [torch.randn(edges, size, dtype=dtype, requires_grad=True) for size in sizes]


def derivatives(function, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """The result, its first derivatives, and second ones as in training on forces."""
    found = function(*inputs)
    first = torch.autograd.grad(found.sin().sum(), inputs, create_graph=True)
    second = torch.autograd.grad(sum(each.square().sum() for each in first), inputs)
    return [found, *first, *second]


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    widths=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    filter_order=st.integers(0, 3),
    highest=st.integers(0, 3),
    parity=st.booleans(),
    edges=st.sampled_from([0, 1, 5]),
)
def test_results_and_derivatives_are_those_of_e3nn(widths, filter_order, highest, parity, edges):
    product = channelwise(*irreps_of(widths, filter_order, parity), highest)
    if not product.instructions:
        return
    assert ChannelwiseProduct.can(product)
    inputs = inputs_of(product, edges)
    expected = derivatives(product, inputs)
    found = derivatives(ChannelwiseProduct(product), inputs)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_third_derivatives_exist():
    """Curvature scores differentiate losses on forces twice."""
    product = channelwise("2x0e+2x1e", "0e+1e", 1)
    inputs = inputs_of(product, 3)
    assert torch.autograd.gradgradcheck(ChannelwiseProduct(product), inputs)


def test_products_are_e3nns_again_after_the_context():
    product = channelwise("4x0e+4x1e", "0e+1e", 1).float()
    inputs = inputs_of(product, 3, torch.float32)
    before = copy.deepcopy(product.state_dict())
    with fast_products([product]):
        assert isinstance(product.forward, ChannelwiseProduct)
        with fast_products([product]):  # a context within a context changes nothing
            inside = product(*inputs)
        assert isinstance(product.forward, ChannelwiseProduct)
    assert "forward" not in vars(product)
    torch.testing.assert_close(inside, product(*inputs))
    assert product.state_dict().keys() == before.keys()


def test_one_product_serves_both_types():
    product = channelwise("4x0e+4x1e", "0e+1e", 1)
    fast = ChannelwiseProduct(product)
    for dtype in (torch.float64, torch.float32):
        assert fast(*inputs_of(product, 3, dtype)).dtype == dtype


@pytest.mark.parametrize(
    "other",
    [
        FullyConnectedTensorProduct("4x0e", "1x0e", "4x0e"),
        torch.nn.Linear(2, 2),
    ],
)
def test_other_modules_are_left_alone(other):
    with fast_products([other]):
        assert "forward" not in vars(other)
