"""Checks that the parameters of a model, and its predictions, are finite."""

from pathlib import Path

import torch
from ase.symbols import Symbols

from irrepress.core.errors import UserError
from irrepress.core.model import Batch, Model, Prediction


def require_finite(model: Model, source: str | Path) -> Model:
    """Return the model, all of whose parameters and constants are finite.

    A flipped bit or a training that diverged leaves NaN or infinity, which spread over all
    predictions; the error is raised when the model is loaded, not when they first show.

    Args:
        model: the model.
        source: what it was loaded from, for the message.

    Raises:
        UserError: a parameter or constant holds NaN or infinity; the message names it.
    """
    for name, tensor in model.network.state_dict().items():
        if not torch.is_tensor(tensor) or not tensor.is_floating_point():
            continue
        wrong = int((~torch.isfinite(tensor)).sum())
        if wrong:
            raise UserError(
                f"{source}: {wrong} of {tensor.numel()} numbers of the parameter {name} are NaN "
                "or infinite; the file is damaged, or its training diverged: make or get it again"
            )
    return model


def check_prediction(prediction: Prediction, batch: Batch, stage: str) -> None:
    """Check that the energies and forces of a batch are finite.

    Weights may be finite and yet so large that predictions are not. The stress is not checked,
    because only callers know which structures have a volume.

    Args:
        prediction: what the model predicted.
        batch: the batch that it was predicted for.
        stage: what the model is run for, to begin the message with.

    Raises:
        UserError: an energy or a force is NaN or infinite; the message names the structure.
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
