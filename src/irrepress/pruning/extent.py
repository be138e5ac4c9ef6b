"""How far compensation moves weights from the old ones to the fitted ones.

Every map is fitted to features. Features that fit better, one map after the other, need not give
better forces: errors that removed blocks left may have cancelled. So forces on structures that no
weight was fitted to decide.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from irrepress.core.errors import UserError
from irrepress.core.finite import check_prediction
from irrepress.core.fits import LinearFit, Pair
from irrepress.core.model import Model

# From the fitted weights (1) back to the old ones (0).
EXTENTS = (1.0, 0.75, 0.5, 0.25, 0.0)


def choose_extent(
    parent: Model,
    narrowed: Model,
    fits: Sequence[LinearFit],
    old: Sequence[dict[str, Tensor]],
    batches: Iterable[Pair],
) -> tuple[float, float]:
    """Set all maps to the weights between old and fitted ones that match the parent's forces best.

    Energies are not considered: constants for the elements correct most of their error.

    Args:
        parent: the model whose forces are the reference.
        narrowed: the model, with the fitted weights.
        fits: its fitted maps.
        old: their weights before, as `LinearFit.weights` gave them.
        batches: structures that the weights were not fitted to, on the models' device.

    Returns:
        The extent, one of `EXTENTS`, and the share of the old weights' mean absolute force
        difference that is left over at it.

    Raises:
        UserError: a model predicts forces that are not finite.
    """
    fitted = [fit.weights() for fit in fits]
    errors = torch.zeros(len(EXTENTS), dtype=torch.float64)

    def go(extent: float) -> None:
        for fit, start, end in zip(fits, old, fitted, strict=True):
            fit.set_weights({irrep: torch.lerp(start[irrep], end[irrep], extent) for irrep in end})

    for pair in batches:
        prediction = parent.predict(pair.parent)
        check_prediction(prediction, pair.parent, "compensation, the parent")
        target = prediction.forces
        for index, extent in enumerate(EXTENTS):
            go(extent)
            difference = narrowed.predict(pair.narrowed).forces - target
            errors[index] += float(difference.abs().sum())
    if not torch.isfinite(errors).all():
        raise UserError(
            "compensation: the forces that the narrowed model predicts are not finite; prune less"
        )
    best = int(errors.argmin())
    go(EXTENTS[best])
    return EXTENTS[best], float(errors[best] / errors[-1]) if errors[-1] > 0 else 1.0
