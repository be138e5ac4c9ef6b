"""Linear maps and activations of values and tangents together."""

import pytest
import torch
import torch.autograd.forward_ad as forward_mode
from e3nn.math import normalize2mom
from e3nn.nn import FullyConnectedNet
from e3nn.o3 import Linear

from irrepress.families.e3nn.duals import fewer_operations

MODULES = {
    "linear": Linear("3x0e+2x1o", "2x0e+3x1o"),
    "silu": normalize2mom(torch.nn.functional.silu),
    "another activation": normalize2mom(torch.tanh),
    "linear with biases": Linear("3x0e+2x1o", "2x0e+3x1o", biases=True),
    "radial layer": FullyConnectedNet([9, 4, 3], torch.nn.functional.silu)[0],
    "last radial layer": FullyConnectedNet([9, 3], torch.nn.functional.silu, out_act=False)[0],
    "radial layer of another size": FullyConnectedNet(
        [9, 4], torch.nn.functional.silu, variance_out=3, out_act=True
    )[0],
}


@pytest.mark.parametrize("name", MODULES)
def test_results_and_derivatives_are_those_of_torch(name):
    module = MODULES[name].to(torch.float64)
    torch.manual_seed(0)
    given = [torch.randn(5, 9, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    wanted = [*given, *module.parameters()]
    found = []
    for modules in ([], [module]):
        with fewer_operations(modules), forward_mode.dual_level():
            result = forward_mode.unpack_dual(module(forward_mode.make_dual(*given)))
        assert "forward" not in vars(module)
        loss = sum(each.sin().sum() for each in result)
        found.append([*result, *torch.autograd.grad(loss, wanted, materialize_grads=True)])
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("affine", [True, False])
def test_derivatives_of_a_normalisations_tangents(affine):
    """Those of going backward twice, which torch's own tangents do not have."""
    torch.manual_seed(0)
    module = torch.nn.LayerNorm(9, elementwise_affine=affine, dtype=torch.float64)
    values, tangents, weights = torch.randn(3, 5, 9, dtype=torch.float64)
    values.requires_grad_(True)
    wanted = [values, *module.parameters()]
    result = module(values)
    (back,) = torch.autograd.grad((result * weights).sum(), values, create_graph=True)
    along = (back * tangents).sum()
    expected = torch.autograd.grad(along, wanted, materialize_grads=True)
    with fewer_operations([module]), forward_mode.dual_level():
        mine, changes = forward_mode.unpack_dual(module(forward_mode.make_dual(values, tangents)))
    torch.testing.assert_close(mine, result)
    torch.testing.assert_close((changes * weights).sum(), along)
    found = torch.autograd.grad((changes * weights).sum(), wanted, materialize_grads=True)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_without_tangents_nothing_changes():
    module = MODULES["silu"]
    values = torch.randn(4)
    with fewer_operations([module]):
        assert torch.equal(module(values), module(values))
    with fewer_operations([module]):
        inside = module(values)
    assert torch.equal(inside, module(values))
