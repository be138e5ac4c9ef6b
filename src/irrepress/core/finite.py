"""Checks that a model's parameters and predictions are finite."""

from pathlib import Path

import torch
from ase.symbols import Symbols

from irrepress.core.errors import UserError
from irrepress.core.model import Batch, Model, Prediction


def require_finite(model: Model, source: str | Path) -> Model:
    """Return the model after checking that all parameters and constants are finite.

    A flipped bit or diverged training can leave NaN or infinity, which spreads to all predictions.
    This check finds it when a model is loaded, before any prediction.

    Args:
        model: the model.
        source: where it was loaded from, for the message.

    Raises:
        UserError: if a parameter or constant is NaN or infinite; the message names it.
    """
    for name, tensor in model.network.state_dict().items():
        if not torch.is_tensor(tensor) or not tensor.is_floating_point():
            continue
        wrong = int((~torch.isfinite(tensor)).sum())
        if wrong:
            raise UserError(
                f"{source}: {wrong} of {tensor.numel()} values of the parameter {name} are NaN or "
                "infinite; the file is damaged, or training diverged: create or download it again"
            )
    return model


def check_prediction(prediction: Prediction, batch: Batch, stage: str) -> None:
    """Check that the energies and forces of a batch are finite.

    Predictions may be infinite even for finite weights. The stress is not checked, because only
    callers know which structures have a volume.

    Args:
        prediction: the prediction.
        batch: the batch that it belongs to.
        stage: purpose of the prediction, with which the message begins.

    Raises:
        UserError: if an energy or a force is NaN or infinite; the message names a structure.
    """
    wrong = {
        "energy": ~torch.isfinite(prediction.energy),
        "forces": prediction.energy.new_zeros(len(batch), dtype=torch.bool).index_fill(
            0, batch.structure[~torch.isfinite(prediction.forces).all(dim=1)], True
        ),
    }
    for name, found in wrong.items():
        if not found.any():
            continue
        members = batch.numbers[batch.structure == int(found.nonzero()[0])]
        raise UserError(
            f"{stage}: the model's {name} is not finite for {int(found.sum())} of the {len(batch)} "
            f"structures of a batch, such as {Symbols(members.cpu().numpy())}; it is damaged, or "
            "diverged in training (irrepress evaluate shows where)"
        )
