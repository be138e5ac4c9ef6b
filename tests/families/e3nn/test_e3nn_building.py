"""Networks that are built with what was computed before are those that e3nn builds."""

import pytest
import torch

pytest.importorskip("e3nn", reason="e3nn is not installed in this environment")

from e3nn import o3
from e3nn.nn import Gate

from irrepress.families.e3nn.building import building_e3nn


class Network(torch.nn.Module):
    """A linear map, a gate and a product with constants."""

    def __init__(self):
        super().__init__()
        self.gate = Gate("4x0e", [torch.nn.functional.silu], "3x0e", [torch.tanh], "2x1o+1x2e")
        self.map = o3.Linear("4x0e+2x1o+1x2e", self.gate.irreps_in)
        self.product = o3.FullyConnectedTensorProduct(
            self.gate.irreps_out, "1x0e+1x1o", "3x0e+2x1o"
        )

    def forward(self, x, y):
        return self.product(self.gate(self.map(x)), y)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_networks_are_those_of_e3nn(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        torch.manual_seed(3)
        expected, next_number = Network(), torch.rand(1)
        inputs = torch.randn(5, 15), torch.randn(5, 4)
    finally:
        torch.set_default_dtype(before)
    networks = []
    for _ in range(2):
        with building_e3nn(dtype):
            torch.manual_seed(3)
            networks.append(Network())
            assert torch.equal(torch.rand(1), next_number)
    state = expected.state_dict()
    for network in networks:
        found = network.state_dict()
        assert list(found) == list(state)
        for name, value in state.items():
            assert found[name].dtype == value.dtype and torch.equal(found[name], value), name
        assert torch.equal(network(*inputs), expected(*inputs))
        assert network.product._compiled_main_left_right.code == (
            expected.product._compiled_main_left_right.code
        )
    # Nothing is shared between networks, constants of their code neither.
    pointers = [
        {t.data_ptr() for t in network.state_dict().values() if t.numel()} for network in networks
    ]
    assert not pointers[0] & pointers[1]


def test_an_activation_that_is_a_module_is_measured_every_time():
    class Scaled(torch.nn.Module):
        factor = 1.0

        def forward(self, x):
            return self.factor * torch.tanh(x)

    from e3nn.math import normalize2mom

    activation = Scaled()
    with building_e3nn():
        first = normalize2mom(activation).cst
        activation.factor = 2.0
        assert normalize2mom(activation).cst == pytest.approx(first / 2)
