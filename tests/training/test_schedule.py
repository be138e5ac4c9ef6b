import pytest
from hypothesis import given
from hypothesis import strategies as st

from irrepress.training.schedule import WarmupCosine


def test_rises_linearly_then_falls_to_the_final_value():
    factor = WarmupCosine(steps=101, warmup=0.1, final=0.02)
    assert [factor(step) for step in (0, 4, 9)] == pytest.approx([1 / 11, 5 / 11, 10 / 11])
    assert factor(10) == pytest.approx(1)
    assert factor(55) == pytest.approx((1 + 0.02) / 2)
    assert factor(100) == pytest.approx(0.02)


@given(steps=st.integers(1, 60), warmup=st.floats(0, 0.99), final=st.floats(0, 1))
def test_is_positive_and_has_one_peak(steps, warmup, final):
    factor = WarmupCosine(steps, warmup, final)
    values = [factor(step) for step in range(steps)]
    assert all(0 <= value <= 1 + 1e-12 for value in values)
    # The last step alone may have the rate of the end, which may be 0.
    assert all(value > 0 for value in values[:-1])
    peak = values.index(max(values))
    assert values[: peak + 1] == sorted(values[: peak + 1])
    assert all(a >= b - 1e-12 for a, b in zip(values[peak:], values[peak + 1 :], strict=False))
