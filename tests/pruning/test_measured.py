from itertools import pairwise

import numpy as np
import pytest

from irrepress.core.errors import UserError
from irrepress.pruning.allocation import Limits
from irrepress.pruning.measured import plan_measured

LIMITS = Limits(multiple=2, floor=4)


@pytest.fixture(scope="module")
def scores(groups):
    rng = np.random.default_rng(0)
    return {g.name: rng.random(g.channels) for g in groups}


@pytest.mark.parametrize("axes", ["both", "channels"])
def test_the_budget_is_met_in_rounds(small_sevennet, groups, measure, scores, axes):
    limits = Limits(multiple=2, floor=4, axes=axes)

    def removed(plan):
        return plan.total_blocks() - plan.kept_blocks()

    plan = plan_measured(
        small_sevennet, scores, removed, measure, budget=0.6, step=0.15, limits=limits
    )
    plan.check(groups)
    rounds = plan.provenance["rounds"]
    searches = {entry["highest"] for entry in rounds}
    assert (len(searches) > 1) if axes == "both" else (searches == {None})
    for highest in searches:
        left = [entry["left"] for entry in rounds if entry["highest"] == highest]
        assert all(after < before for before, after in pairwise([1.0, *left]))
    assert sum(entry["highest"] is None for entry in rounds) > 2
    narrowed = small_sevennet.narrow(plan)
    assert plan.provenance["left"] == pytest.approx(narrowed.parameter_count() / measure.whole)
    assert plan.provenance["left"] <= 0.6
    assert plan.provenance["damage"] == removed(plan)
    for g in groups:
        kept = plan.keep[g.name]
        if g.axis == "channel":
            assert len(kept) % 2 == 0
            assert len(kept) >= (4 if g.l == 0 else 2 if axes == "channels" else 0)
            best = np.argsort(-scores[g.name], kind="stable")[: len(kept)]
            assert kept == tuple(sorted(best.tolist()))


def test_what_trials_show_to_matter_stays(small_sevennet, groups, measure, scores):
    """Whatever scores say: the layer whose removal does damage is left alone."""
    full = next(g.channels for g in groups if g.name == "features.2.0e")

    def damage(plan):
        return 1e3 * (full - len(plan.keep["features.2.0e"])) + 1.0

    low = {name: 1e-6 * s if name.endswith(".2.0e") else s for name, s in scores.items()}
    plan = plan_measured(small_sevennet, low, damage, measure, budget=0.5, step=0.2, limits=LIMITS)
    assert len(plan.keep["features.2.0e"]) == full


def test_an_order_can_go_as_a_whole(small_sevennet, groups, measure, scores):
    def damage(plan):
        present = any(plan.keep[g.name] for g in groups if g.l == 2)
        lost = sum(g.channels - len(plan.keep[g.name]) for g in groups if g.l < 2)
        return lost + (1.0 if present else 0.0)

    plan = plan_measured(
        small_sevennet, scores, damage, measure, budget=0.8, step=0.1, limits=LIMITS
    )
    assert not any(plan.keep[g.name] for g in groups if g.l == 2)


def test_a_budget_that_cannot_be_met_is_told_before_any_trial(small_sevennet, measure, scores):
    def damage(plan):
        raise AssertionError("nothing should be tried")

    with pytest.raises(UserError, match=r"cannot be met.*the smallest possible is 0\.\d+"):
        plan_measured(small_sevennet, scores, damage, measure, budget=0.01, step=0.2, limits=LIMITS)
