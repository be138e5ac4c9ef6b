"""The exponential moving average (EMA) of the weights, useful from the first step on."""

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class WarmedUpEMA(WeightAveraging):
    """EMA whose decay grows from 0.1 to its final value as steps are taken.

    A constant decay of 0.99 would hold the average at the initial weights for the first
    hundred steps, which is a whole short run; with min(decay, (1 + n) / (10 + n)) after n
    updates it follows the weights closely at first. Validation and checkpoints see the
    averaged weights, the checkpoint keeps the current ones beside them.

    Buffers are copied, not averaged: they are constants of the network, and an average of
    integer buffers would be rounded off.
    """

    def __init__(self, decay: float):
        def update(averaged: list[Tensor], current: list[Tensor], updates: Tensor | int) -> None:
            n = int(updates)
            weight = 1 - min(decay, (1 + n) / (10 + n))
            with torch.no_grad():
                torch._foreach_lerp_(list(averaged), list(current), weight)

        super().__init__(use_buffers=False, multi_avg_fn=update)
