"""The fastest code that irrepress has for a model."""

from contextlib import suppress

from irrepress.core.errors import UserError
from irrepress.core.family import EvaluatesFaster, Evaluator
from irrepress.core.model import Model


def faster_evaluator(model: Model) -> Evaluator | None:
    """Return code that is faster for single structures than `Model.predict` is for batches.

    Args:
        model: the model; its weights are those that it has now.

    Returns:
        The code; None if there is none for the model on its device.

    Example:
        >>> evaluate = faster_evaluator(model)
        >>> evaluate(structures[0].without_labels()).forces.shape
        torch.Size([2, 3])
    """
    if model.device.type == "cpu" and isinstance(model.family, EvaluatesFaster):
        with suppress(UserError):  # parts that only the code for batches knows
            return model.family.evaluator(model)
    return None
