"""Iterated pruning: alternate between removing a little and scoring what remains.

Scores are derivatives at the current model. The more has been removed since, the less they say
about the next removal, so the model is scored again after each step. An entire order cannot be cut
in small steps: in every round the greedy search first looks ahead to the budget to choose the
highest order, and then takes one step with that order fixed.
"""

from collections.abc import Callable, Mapping

import numpy as np

from irrepress.core.errors import UserError
from irrepress.core.groups import widths_of
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.pruning.allocation import Limits, allocate_greedily
from irrepress.pruning.budget import Measure, check_met, plan_for_widths

# Maps a model to its scores: group name -> [channels].
Score = Callable[[Model], Mapping[str, np.ndarray]]


def plan_iterated(
    model: Model,
    score: Score,
    measure: Measure,
    *,
    budget: float,
    step: float,
    limits: Limits | None = None,
) -> Plan:
    """Return a plan that keeps a fraction, found by rounds of scoring and removing.

    Args:
        model: the unpruned model; it is not changed.
        score: function that scores a model: first ``model`` itself, then the model pruned so far.
        measure: the quantity that the budget limits, for the unpruned model.
        budget: fraction of the unpruned model to keep, 0 < budget < 1.
        step: fraction of the remaining amount that each round removes.
        limits: rounding, floors and axes.

    Returns:
        A plan in the unpruned model's channels; its provenance records the fraction left after each
        round.

    Raises:
        UserError: if the budget cannot be met; the message gives the smallest one that can.
    """
    limits = limits or Limits()
    groups = model.groups()
    target = measure.target(budget)
    gone = dict.fromkeys(widths_of(groups), 0)

    def measured(widths: Mapping[str, int]) -> float:
        """Measure a narrowed model; keys that it lacks have zero width."""
        return measure({**gone, **widths})

    plan, narrowed, left = Plan.identity(groups), model, measure.whole
    rounds: list[float] = []
    while left > target:
        scores = score(narrowed)
        here = narrowed.groups()
        goal = allocate_greedily(here, scores, measured, target, limits)
        check_met(goal, measure, budget, limits)
        found = allocate_greedily(
            here,
            scores,
            measured,
            max(target, (1 - step) * left),
            limits,
            highest=goal.highest,
        )
        plan, _ = model.native_plan(plan.then(plan_for_widths(here, scores, found.widths)))
        narrowed = model.narrow(plan)
        before, left = left, measure(plan.widths(groups))
        if left >= before:
            raise UserError(
                f"budget: {budget:g} of the {measure.unit} cannot be met by steps of {step:g}: the "
                "family can only build some widths, and rounding to them undoes a step. Raise "
                "sweep.step"
            )
        rounds.append(left / measure.whole)
    return Plan(keep=plan.keep, channels=plan.channels, provenance={"rounds": rounds})
