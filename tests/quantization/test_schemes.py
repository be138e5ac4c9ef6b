import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from irrepress.core.errors import UserError
from irrepress.quantization.schemes import quantize


@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    seed=st.integers(0, 1000),
    bits=st.sampled_from([4, 8]),
)
@settings(max_examples=60, deadline=None)
def test_no_weight_moves_by_more_than_half_a_step(rows, columns, seed, bits):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(rows, columns, generator=generator)
    quantized = quantize(weights, bits)
    error = (quantized.dequantize() - weights).abs()
    assert (error <= quantized.scales / 2 * 1.0001).all()


@pytest.mark.parametrize("bits", [4, 8])
def test_the_values_take_the_bits_they_claim(bits):
    quantized = quantize(torch.randn(64, 32), bits)
    assert quantized.values.numel() * quantized.values.element_size() == 64 * 32 * bits // 8


def test_a_column_of_zeros_stays_zero():
    weights = torch.tensor([[0.0, 1.0], [0.0, -2.0]])
    assert (quantize(weights, 8).dequantize()[:, 0] == 0).all()


def test_other_bits_are_refused():
    with pytest.raises(UserError, match="3 is not supported"):
        quantize(torch.ones(2, 2), 3)


def test_weights_that_are_not_finite_are_refused():
    with pytest.raises(UserError, match="NaN or infinite"):
        quantize(torch.tensor([[float("nan")]]), 8)
