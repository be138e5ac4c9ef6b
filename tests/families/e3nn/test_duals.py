"""Linear maps and activations of values and tangents together."""

import pytest
import torch
import torch.autograd.forward_ad as forward_mode
from e3nn.math import normalize2mom
from e3nn.o3 import Linear

from irrepress.families.e3nn.duals import fewer_operations

MODULES = {
    "linear": Linear("3x0e+2x1o", "2x0e+3x1o"),
    "silu": normalize2mom(torch.nn.functional.silu),
    "another activation": normalize2mom(torch.tanh),
    "linear with biases": Linear("3x0e+2x1o", "2x0e+3x1o", biases=True),
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


def test_without_tangents_nothing_changes():
    module = MODULES["silu"]
    values = torch.randn(4)
    with fewer_operations([module]):
        assert torch.equal(module(values), module(values))
    with fewer_operations([module]):
        inside = module(values)
    assert torch.equal(inside, module(values))
