"""Which of a model's layers to keep, where only their number is given."""

import logging
from collections.abc import Callable, Sequence

from irrepress.core.errors import UserError
from irrepress.core.family import DropsLayers
from irrepress.core.model import Model

logger = logging.getLogger(__name__)

# Rather than narrow its layers to less than this fraction of their cost, a model loses some. It is
# a little below a twelfth: twelve times as fast is reached with all layers.
LEAST_LEFT = 0.08
# With a single layer, atoms would know nothing of their neighbours' neighbours.
_LEAST_LAYERS = 2


def choose_layers(
    model: Model, layers: int | Sequence[int] | None, source: str = "plan"
) -> tuple[int, ...] | None:
    """Return the layers of a model to keep; None: all of them.

    Given a number, the family chooses (`irrepress.core.family.DropsLayers.layers_to_keep`).

    Args:
        model: the unpruned model.
        layers: how many, or which, counted from 0; None: all.
        source: where they were requested, for messages.

    Raises:
        UserError: if the model has fewer layers, or its family cannot drop any.

    Example:
        >>> choose_layers(model, 3)
        (0, 2, 4)
    """
    if layers is None:
        return None
    if isinstance(layers, int):
        if layers > model.layers:
            raise UserError(
                f"{source}: {layers} layers are to be kept, but the model has {model.layers}; "
                "name fewer, or leave 'layers' out"
            )
        chosen = model.layers_to_keep(layers, source)
    else:
        chosen = tuple(layers)
    model.check_layers(chosen, source)
    if len(chosen) == model.layers:
        return None
    logger.info("layers %s of 0 to %d are kept", ", ".join(map(str, chosen)), model.layers - 1)
    return chosen


def suit_layers(model: Model, left: Callable[[tuple[int, ...] | None], float]) -> int | None:
    """Return how many layers suit a budget: the most that need not be narrowed too far.

    Narrow layers learn one chemical system well (the documentation's results without labels), until
    what a layer costs at any width leaves no time for features.

    Args:
        model: the unpruned model.
        left: the fraction of the cost of given layers, at full widths, that the budget allows;
            None: of all layers.

    Returns:
        The number of layers, at least two; None: all.

    Raises:
        UserError: if the family of the model cannot drop layers.

    Example:
        >>> suit_layers(model, lambda layers: 0.05 if layers is None else 0.35 / len(layers))
        4
    """
    if left(None) >= LEAST_LEFT or model.layers <= _LEAST_LAYERS:
        return None
    for count in range(model.layers - 1, _LEAST_LAYERS, -1):
        kept = model.layers_to_keep(count, "layers: auto")
        if left(kept) >= LEAST_LEFT:
            return count
    return _LEAST_LAYERS


def fewest_layers(model: Model) -> tuple[int, ...] | None:
    """Return the fewest layers that `suit_layers` leaves; None: all, as the family drops none.

    Example:
        >>> fewest_layers(model)
        (0, 4)
    """
    if not isinstance(model.family, DropsLayers) or model.layers <= _LEAST_LAYERS:
        return None
    return model.layers_to_keep(_LEAST_LAYERS)
