"""Many shapes of a model, timed beside the unpruned model."""

import logging
from collections.abc import Sequence

from rich.progress import track

from irrepress.evaluation.timing import time_in_turn
from irrepress.families.base import Family, Model
from irrepress.pruning.blocks import widths_of
from irrepress.pruning.latency import TimedShape
from irrepress.pruning.plan import Plan
from irrepress.structures.structure import Structure

# So many shapes are timed with the unpruned model, before the next ones are.
PARTY = 5
# A turn of a small model lasts at least so long: short calls are easily disturbed.
TURN_SECONDS = 0.2


def time_shapes(
    family: Family,
    model: Model,
    plans: Sequence[Plan],
    structure: Structure,
    *,
    repeats: int,
    device: str,
) -> list[TimedShape]:
    """Time a model narrowed by each of several plans.

    Machines drift and are shared. Each party of shapes is timed in turn with the unpruned model,
    the fastest call of each is taken, which others disturbed least, and the speed of the machine
    during the party is taken out by the unpruned model's time.

    Args:
        family: the model's family.
        model: the unpruned model.
        plans: what to narrow it by, in the family's native form.
        structure: what is predicted.
        repeats: turns of every model.
        device: resolved device name.

    Returns:
        The unpruned model and then a shape for every plan.
    """
    groups = family.groups(model)
    cost_model = family.cost_model(model)
    parties = [plans[i : i + PARTY] for i in range(0, len(plans), PARTY)]
    unpruned: list[float] = []
    ratios: list[float] = []
    for party in track(parties, "timing shapes", transient=True):
        models = [model, *(family.narrow(model, plan) for plan in party)]
        calls = time_in_turn(
            family, models, structure, repeats=repeats, device=device, turn=TURN_SECONDS
        )
        whole, *parts = (min(seconds) for seconds in calls)
        unpruned.append(whole)
        ratios += [part / whole for part in parts]
    best = min(unpruned)
    logging.getLogger("time_shapes").info(
        "the unpruned model took %.4g s at best, and %.0f %% more at worst",
        best,
        100 * (max(unpruned) / best - 1),
    )
    shapes = []
    all_widths = [widths_of(groups), *(plan.widths(groups) for plan in plans)]
    for widths, ratio in zip(all_widths, [1.0, *ratios], strict=True):
        cost = cost_model(widths)
        shapes.append(TimedShape(widths, cost.parameters, cost.flops, ratio * best))
    return shapes
