"""The check that a loaded model's numbers are numbers."""

from pathlib import Path

import torch

from irrepress.errors import UserError
from irrepress.families.base import Model


def require_finite(model: Model, source: str | Path) -> Model:
    """Return a model all of whose parameters and constants are finite.

    A flipped bit or a training that diverged leaves NaN or infinity, which spread over
    predictions; this is told where the model is loaded and not where they show.

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
                "or infinite; the file is damaged, or its training diverged: make or get it anew"
            )
    return model
