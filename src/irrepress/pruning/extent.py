"""The choice of how far compensation moves weights from the old to the fitted ones.

Every map is fitted to features. Features that fit better, one map after the other, need not give
better forces, because errors due to removed blocks may have cancelled. So the forces on held-out
structures decide.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from irrepress.core.errors import UserError
from irrepress.core.finite import check_prediction
from irrepress.core.fits import LinearFit, Pair
from irrepress.core.model import Model

# From the fitted weights (1) to the old ones (0).
EXTENTS = (1.0, 0.75, 0.5, 0.25, 0.0)


def choose_extent(
    parent: Model,
    narrowed: Model,
    fits: Sequence[LinearFit],
    old: Sequence[dict[str, Tensor]],
    batches: Iterable[Pair],
) -> tuple[float, float]:
    """Interpolate between old and fitted weights so as to match the parent's forces best.

    Energies are not considered, because shifts per element correct most of their error.

    Args:
        parent: the model whose forces are the reference.
        narrowed: the model, with the fitted weights.
        fits: the fitted maps; their weights are set to the result.
        old: their weights before the fit, from `LinearFit.weights`.
        batches: held-out structures, on the models' device.

    Returns:
        The extent, one of `EXTENTS`, and the ratio of the mean absolute force difference at this
        extent to that of the old weights.

    Raises:
        UserError: if a model predicts forces that are not finite.
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
            "compensation: the forces predicted by the narrowed model are not finite; prune less"
        )
    best = int(errors.argmin())
    go(EXTENTS[best])
    return EXTENTS[best], float(errors[best] / errors[-1]) if errors[-1] > 0 else 1.0
