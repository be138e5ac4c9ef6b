"""Splines of radial functions: values, slopes, kinks, and what they refuse."""

import math

import pytest
import torch

from irrepress.core.errors import UserError
from irrepress.families.e3nn.radial_table import tabulate

CUTOFF = 5.0
ONE = torch.ones(1, 1, dtype=torch.float64)


def look_up(table, function, distances):
    indices, weights, slopes = table.locate(distances)
    rows = table.rows[function][indices]
    return (
        torch.einsum("er,erv->ev", weights, rows),
        torch.einsum("er,erv->ev", slopes, rows),
    )


def places(count: int = 1000) -> torch.Tensor:
    return torch.linspace(0.01, CUTOFF, count, dtype=torch.float64)


def test_values_and_slopes_are_those_of_the_functions():
    maps = [torch.tensor([[1.0, -2.0]], dtype=torch.float64), ONE]
    table = tabulate(lambda r: [torch.sin(3 * r)[:, None], (-r * r).exp()[:, None]], maps, CUTOFF)
    distances = places()
    allowed = torch.where(distances < 0.6, 10.0, 1.0)  # nearer than atoms come
    for function, of, slope in (
        (0, torch.sin(3 * distances), 3 * torch.cos(3 * distances)),
        (1, (-(distances**2)).exp(), -2 * distances * (-(distances**2)).exp()),
    ):
        values, slopes = look_up(table, function, distances)
        wrong = (values - of[:, None] @ maps[function]).abs().amax(1)
        assert (wrong / allowed).max() < 5e-7
        wrong = (slopes - slope[:, None] @ maps[function]).abs().amax(1)
        assert (wrong / allowed).max() < 1.2e-6 * slopes.abs().max()


def test_a_smaller_tolerance_takes_more_knots():
    rough, fine = (
        tabulate(lambda r: [torch.sin(3 * r)[:, None]], [ONE], CUTOFF, tolerance=tolerance)
        for tolerance in (1e-4, 1e-7)
    )
    assert len(fine.rows[0]) > len(rough.rows[0])
    _, slopes = look_up(fine, 0, places())
    assert (slopes[:, 0] - 3 * torch.cos(3 * places())).abs().max() < 3e-6


def test_a_break_stands_for_a_kink():
    def function(r):
        return [torch.where(r < 4.0, 0.0, (r - 4.0) ** 2)[:, None] + torch.sin(r)[:, None]]

    with_break = tabulate(function, [ONE], CUTOFF, [4.0])
    distances = places()
    values, slopes = look_up(with_break, 0, distances)
    assert (values - function(distances)[0]).abs().max() < 1e-6
    exact = torch.cos(distances) + torch.where(distances < 4.0, 0.0, 2 * (distances - 4.0))
    assert (slopes[:, 0] - exact).abs().max() < 3e-5
    assert len(with_break.rows[0]) < 1000


def test_what_is_not_smooth_is_refused():
    with pytest.raises(UserError, match="splines of 4096 knots"):
        tabulate(lambda r: [(r - math.pi).abs()[:, None]], [ONE], CUTOFF)


def test_values_and_slopes_go_together():
    """Slopes are those of the spline itself, so that energy is conserved."""
    table = tabulate(lambda r: [torch.sin(3 * r)[:, None]], [ONE], CUTOFF, tolerance=1e-3)
    distances = places(50).requires_grad_(True)
    values, slopes = look_up(table, 0, distances)
    (found,) = torch.autograd.grad(values.sum(), distances)
    assert torch.allclose(found, slopes[:, 0], atol=1e-10, rtol=0)
