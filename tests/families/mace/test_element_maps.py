"""Linear maps that differ between elements: what mace's tensor products compute."""

import pytest
import torch
import torch.autograd.forward_ad as forward_mode

pytest.importorskip("mace.modules", reason="MACE is not installed in this environment")

from irrepress.families.mace.element_maps import ElementMap
from irrepress.families.mace.fast_contraction import ByElement
from irrepress.families.mace.package import FullyConnectedTensorProduct, Irreps

SOURCE, TARGET = Irreps("3x0e+2x1o+1x2e"), Irreps("2x0e+3x1o+1x1e")


def test_results_and_derivatives_are_those_of_e3nn():
    torch.manual_seed(0)
    product = FullyConnectedTensorProduct(SOURCE, "4x0e", TARGET).double()
    elements = torch.tensor([2, 0, 2, 1, 0, 2])  # none of the last
    attributes = torch.nn.functional.one_hot(elements, 4).double()
    mapped = ElementMap(product, ByElement(elements))
    features, changes = torch.randn(2, 6, SOURCE.dim, dtype=torch.float64).requires_grad_(True)
    expected = [product(each, attributes) for each in (features, changes)]  # it is linear
    torch.testing.assert_close(mapped(features, attributes), expected[0])
    with forward_mode.dual_level():
        dual = mapped(forward_mode.make_dual(features, changes), attributes)
        found = list(forward_mode.unpack_dual(dual))
    gradients = []
    for values, tangents in (expected, found):
        loss = values.sin().sum() + tangents.cos().sum()
        gradients.append(torch.autograd.grad(loss, [features, changes, product.weight]))
    for mine, other in zip([*found, *gradients[1]], [*expected, *gradients[0]], strict=True):
        torch.testing.assert_close(mine, other)
