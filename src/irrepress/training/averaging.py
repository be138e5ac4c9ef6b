"""An exponential moving average (EMA) of the weights that is useful from the first step."""

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class WarmedUpEMA(WeightAveraging):
    """EMA whose decay grows from 0.1 to its final value during training.

    A constant decay of 0.99 would keep the average near the initial weights for the first hundred
    steps, which may be an entire run; with min(decay, (1 + n) / (10 + n)) after n updates it
    follows the weights closely at first. Validation and checkpoints use the averaged weights;
    checkpoints also store the current ones.

    Buffers are copied, not averaged: they are constants of the network, and averages of integer
    buffers would be rounded.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> trainer = Trainer(accelerator="cpu", logger=False, callbacks=[WarmedUpEMA(decay=0.99)])
        >>> any(isinstance(callback, WarmedUpEMA) for callback in trainer.callbacks)
        True
    """

    def __init__(self, decay: float):
        def update(averaged: list[Tensor], current: list[Tensor], updates: Tensor | int) -> None:
            n = int(updates)
            weight = 1 - min(decay, (1 + n) / (10 + n))
            with torch.no_grad():
                torch._foreach_lerp_(list(averaged), list(current), weight)

        super().__init__(use_buffers=False, multi_avg_fn=update)
