"""Iterated pruning: remove a little, score the remaining model again, and so on.

Scores are derivatives at the model as it is. The more has been removed, the less they say about
what the next removal does; scoring again keeps them true. The cut of a whole order cannot be made
little by little: in every round the greedy search first looks as far as the budget to choose the
highest order, and then goes one step below it.
"""

from collections.abc import Callable, Mapping

import numpy as np

from irrepress.core.errors import UserError
from irrepress.core.groups import widths_of
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.pruning.allocation import Limits, allocate_greedily
from irrepress.pruning.budget import Measure, check_met, plan_for_widths

# Scores of a model as it is: group name -> [channels].
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
    """Plan for keeping a fraction, by rounds of scoring and removing.

    Args:
        model: the unpruned model; it is not changed.
        score: function that scores the model as pruned so far, at first ``model`` itself.
        measure: what the fraction is counted in, of the unpruned model.
        budget: what may stay of the unpruned model, 0 < budget < 1.
        step: what each round removes, as a fraction of what the round before left.
        limits: rounding, floors and axes.

    Returns:
        A plan in the unpruned model's channels; its provenance records what every round left.

    Raises:
        UserError: the budget cannot be met; the message says what can.
    """
    limits = limits or Limits()
    groups = model.groups()
    target = measure.target(budget)
    gone = dict.fromkeys(widths_of(groups), 0)

    def measured(widths: Mapping[str, int]) -> float:
        """Measure a narrowed model; nothing is left of the keys that it lacks."""
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
                f"budget: {budget:g} of the {measure.unit} cannot be met by steps of {step:g}: "
                "what a step removes is rounded away by what the family can hold. Raise sweep.step"
            )
        rounds.append(left / measure.whole)
    return Plan(keep=plan.keep, channels=plan.channels, provenance={"rounds": rounds})
