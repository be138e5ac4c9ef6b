import pytest
import torch
from lightning.pytorch import LightningModule

from irrepress.training.averaging import WarmedUpEMA


class Weight(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(2))
        self.register_buffer("neighbours", torch.tensor(7))


@pytest.fixture
def average():
    module = Weight()
    callback = WarmedUpEMA(0.5)
    callback.setup(None, module, "fit")
    return module, callback


def test_follows_closely_at_first_and_slowly_later(average):
    module, callback = average
    values = []
    for value in (1.0, 2.0, 3.0, 4.0):
        module.weight.data.fill_(value)
        callback._average_model.update_parameters(module)
        values.append(callback._average_model.module.weight[0].item())
    # The first update copies; then the decay is (1 + n) / (10 + n).
    expected = [1.0]
    for n, value in ((1, 2.0), (2, 3.0), (3, 4.0)):
        decay = (1 + n) / (10 + n)
        expected.append(decay * expected[-1] + (1 - decay) * value)
    assert values == pytest.approx(expected)

    callback._average_model.n_averaged.fill_(1000)
    module.weight.data.fill_(0.0)
    callback._average_model.update_parameters(module)
    assert callback._average_model.module.weight[0].item() == pytest.approx(expected[-1] / 2)


def test_integer_buffers_are_copied(average):
    module, callback = average
    for _ in range(50):
        callback._average_model.update_parameters(module)
    module.neighbours.fill_(8)
    callback._average_model.update_parameters(module)
    assert callback._average_model.module.neighbours.item() == 8
