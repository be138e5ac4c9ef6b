"""Products of the atomic basis as polynomials: what mace's contractions compute."""

import pytest
import torch

pytest.importorskip("mace.modules", reason="MACE is not installed in this environment")

from irrepress.families.generic.learning import energies_and_slopes
from irrepress.families.mace import fast_contraction
from irrepress.families.mace.fast_contraction import ByElement, product_of
from irrepress.families.mace.package import Irreps, blocks

ATOMS, CHANNELS, ELEMENTS = 7, 3, 4


def contractions(correlation: int, irreps: str = "3x0e+3x1o+3x2e") -> torch.nn.Module:
    """mace's module for a basis of orders up to 2; one order has no path into all irreps."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    try:
        block = blocks.EquivariantProductBasisBlock(
            node_feats_irreps=Irreps("3x0e+3x1o+3x2e"),
            target_irreps=Irreps(irreps),
            correlation=correlation,
            num_elements=ELEMENTS,
            use_reduced_cg=False,
        )
    finally:
        torch.set_default_dtype(default)
    return block.symmetric_contractions


@pytest.mark.parametrize("at_once", [1, 10**6])  # channel by channel, and all together
@pytest.mark.parametrize("correlation", [1, 2, 3])
def test_losses_have_the_derivatives_that_maces_code_gives(correlation, at_once, monkeypatch):
    monkeypatch.setattr(fast_contraction, "_AT_ONCE", at_once)
    module = contractions(correlation)
    product = product_of(module)
    elements = torch.tensor([2, 0, 2, 1, 0, 2, 2])  # none of the last
    attributes = torch.nn.functional.one_hot(elements, ELEMENTS).double()
    atoms, found = ByElement(elements), {}
    given = torch.randn(ATOMS, CHANNELS, 9, dtype=torch.float64)
    mix = torch.randn(CHANNELS * 9, dtype=torch.float64)
    weights = [each for each in module.parameters() if each.requires_grad]

    leaf = given.clone().requires_grad_(True)
    energies = torch.sin(module(leaf, attributes)) @ mix
    (slopes,) = torch.autograd.grad(energies.sum(), leaf, create_graph=True)
    mine = energies_and_slopes(
        lambda basis: torch.sin(product(basis, atoms, found)) @ mix, given, weights
    )
    of_energies, of_slopes = torch.randn(ATOMS), torch.randn(ATOMS, CHANNELS, 9)
    gradients = []
    for energy, slope in ((energies, slopes), mine):
        loss = (energy * of_energies).sum() + (slope * of_slopes).sum()
        gradients.append(torch.autograd.grad(loss, weights))
    for one, other in zip(mine, (energies, slopes), strict=True):
        torch.testing.assert_close(one.detach(), other.detach())
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)
    assert not found


def test_polynomials_are_fewer_than_paths():
    product = product_of(contractions(3, "3x0e"))
    (bases,) = product._bases
    sizes = [tuple(basis.change.shape) for basis in bases]
    # 0; 00, 11, 22; 000, 011, 022, 112, 222
    assert [polynomials for _, polynomials in sizes] == [1, 3, 5]
    assert sizes[2][0] > 5


def test_higher_orders_are_left_to_mace():
    assert product_of(contractions(4, "3x0e")) is None
