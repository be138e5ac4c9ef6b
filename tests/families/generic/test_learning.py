"""Losses of energies and slopes, differentiated without a backward pass through a backward pass."""

import torch

from irrepress.families.generic.learning import energies_and_slopes


def test_derivatives_are_those_of_a_graph_of_slopes():
    torch.manual_seed(0)
    weight = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)
    unused = torch.randn(2, dtype=torch.float64, requires_grad=True)
    given = torch.randn(5, 3, dtype=torch.float64)

    def run(positions: torch.Tensor) -> torch.Tensor:
        return torch.tanh(positions @ weight + bias).sin().sum(1)

    def loss(energies: torch.Tensor, slopes: torch.Tensor) -> torch.Tensor:
        return energies.square().sum() + slopes.sin().sum()

    leaf = given.clone().requires_grad_(True)
    energies = run(leaf)
    (slopes,) = torch.autograd.grad(energies.sum(), leaf, create_graph=True)
    expected = torch.autograd.grad(loss(energies, slopes), [weight, bias])

    found = energies_and_slopes(run, given, [weight, bias, unused])
    for mine, other in zip(found, (energies, slopes), strict=True):
        torch.testing.assert_close(mine.detach(), other.detach())
    loss(*found).backward()
    torch.testing.assert_close(weight.grad, expected[0])
    torch.testing.assert_close(bias.grad, expected[1])
    assert unused.grad is None


def test_energies_that_depend_on_nothing_have_no_slopes():
    weight = torch.ones(2, requires_grad=True)
    energies, slopes = energies_and_slopes(lambda _: weight * 2, torch.ones(2, 3), [weight])
    assert not slopes.any()
    (energies.sum() + slopes.sum()).backward()
    assert weight.grad.tolist() == [2, 2]


def test_what_is_computed_of_parameters_hands_derivatives_on():
    torch.manual_seed(0)
    weight = torch.randn(3, dtype=torch.float64, requires_grad=True)
    given = torch.randn(4, 3, dtype=torch.float64)

    def run(positions: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return (positions * scale).sin().sum(1)

    expected = energies_and_slopes(lambda x: run(x, weight.exp()), given, [weight])
    found = energies_and_slopes(run, given, [], [weight.exp()])
    gradients = []
    for energies, slopes in (expected, found):
        loss = energies.square().sum() + slopes.sin().sum()
        gradients.append(torch.autograd.grad(loss, weight)[0])
    torch.testing.assert_close(*gradients)
