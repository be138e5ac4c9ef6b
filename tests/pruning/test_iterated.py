from itertools import pairwise

import numpy as np
import pytest

from irrepress.core.errors import UserError
from irrepress.pruning.allocation import Limits
from irrepress.pruning.budget import plan_for_fraction
from irrepress.pruning.iterated import plan_iterated

LIMITS = Limits(multiple=2, floor=4)


def by_norms():
    """Scores that change as a model shrinks, and the models that were scored."""
    seen = []

    def score(model):
        seen.append(model)
        return {name: norm.numpy() ** 2 for name, norm in model.block_norms().items()}

    return score, seen


@pytest.mark.parametrize("axes", ["both", "channels"])
def test_the_budget_is_met_step_by_step(small_sevennet, groups, measure, axes):
    score, seen = by_norms()
    limits = Limits(multiple=2, floor=4, axes=axes)
    plan = plan_iterated(small_sevennet, score, measure, budget=0.6, step=0.15, limits=limits)
    plan.check(groups)
    rounds = plan.provenance["rounds"]
    assert seen[0] is small_sevennet and len(seen) == len(rounds) > 2
    assert all(after <= 0.85 * before for before, after in pairwise([1.0, *rounds[:-1]]))
    assert rounds[-1] <= 0.6
    assert measure(plan.widths(groups)) == pytest.approx(rounds[-1] * measure.whole)
    # The cost is that of the model that was scored in each round, and of the one that is made.
    sizes = [model.parameter_count() / measure.whole for model in seen[1:]]
    assert sizes == pytest.approx(rounds[:-1])
    assert small_sevennet.narrow(plan).parameter_count() <= 0.6 * measure.whole
    for g in groups:
        count = len(plan.keep[g.name])
        if g.axis == "channel":
            assert count % 2 == 0
            assert count >= (4 if g.l == 0 else 2 if axes == "channels" else 0)


def test_one_large_step_is_the_greedy_plan(small_sevennet, groups, measure):
    score, _ = by_norms()
    options = {"budget": 0.6, "limits": LIMITS}
    plan = plan_iterated(small_sevennet, score, measure, step=0.9, **options)
    greedy = plan_for_fraction(groups, score(small_sevennet), measure, **options)
    assert len(plan.provenance["rounds"]) == 1
    assert dict(plan.keep) == dict(small_sevennet.native_plan(greedy)[0].keep)


def test_channels_that_look_worthless_only_at_first_are_kept(small_sevennet, groups, measure):
    """Scores of what is left count, not those at the start."""

    def score(model):
        here = model.groups()
        values = {g.name: np.ones(g.channels) for g in here}
        first = model is small_sevennet
        values["features.2.0e"] = np.full(len(values["features.2.0e"]), 0.9 if first else 1e6)
        values["messages.2.0e"] = values["features.2.0e"]
        return values

    plan = plan_iterated(small_sevennet, score, measure, budget=0.5, step=0.2, limits=LIMITS)
    greedy = plan_iterated(
        small_sevennet,
        lambda model: score(small_sevennet),
        measure,
        budget=0.5,
        step=0.9,
        limits=LIMITS,
    )
    assert len(plan.keep["features.2.0e"]) > len(greedy.keep["features.2.0e"])


def test_a_budget_that_cannot_be_met_says_what_can(small_sevennet, measure):
    score, seen = by_norms()
    with pytest.raises(UserError, match=r"cannot be met.*the smallest possible is 0\.\d+"):
        plan_iterated(small_sevennet, score, measure, budget=0.01, step=0.2, limits=LIMITS)
    assert len(seen) == 1
