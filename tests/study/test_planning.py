"""Plans with fewer layers: which ones stay, and what budgets and scores are then of."""

import pytest

from irrepress.core.errors import UserError
from irrepress.core.plan import Plan
from irrepress.core.target import Explicit
from irrepress.pruning.config import Sweep
from irrepress.pruning.layers import LEAST_LEFT, choose_layers, fewest_layers, suit_layers
from irrepress.pruning.scoring import compute_scores
from irrepress.study.planning import Planning
from irrepress.study.recipes import Recipe

SWEEP = Sweep(multiple=2, floor=2)


@pytest.fixture(scope="module")
def scores(small_sevennet):
    return compute_scores(small_sevennet, [], criteria=["magnitude"])


def planning(model, scores, sweep=SWEEP, **recipe) -> Planning:
    return Planning(model, Recipe(criterion="magnitude", **recipe), sweep, scores)


def test_a_number_of_layers_is_spread_evenly(small_sevennet):
    assert choose_layers(small_sevennet, 3) == (0, 2, 4)
    assert choose_layers(small_sevennet, [0, 1, 4]) == (0, 1, 4)
    assert choose_layers(small_sevennet, 5) is choose_layers(small_sevennet, None) is None
    with pytest.raises(UserError, match="sweep: x: 6 layers are to be kept, but the model has 5"):
        choose_layers(small_sevennet, 6, "sweep: x")
    with pytest.raises(UserError, match="sweep: x: layers 0, 7: the model has the layers 0 to 4"):
        choose_layers(small_sevennet, [0, 7], "sweep: x")


@pytest.mark.parametrize("unit", ["flops", "blocks"])
def test_a_budget_is_a_fraction_of_the_whole_model(small_sevennet, scores, unit, tmp_path):
    options = {"budget": 0.4, "allocation": "greedy"}
    sweep = SWEEP.model_copy(update={"unit": unit})
    fewer = planning(small_sevennet, scores, sweep, layers=3, **options)
    plan = fewer.plan()
    assert plan.layers == (0, 2, 4)
    assert plan.provenance["layers"] == {"asked": 3, "kept": [0, 2, 4]}
    narrowed = small_sevennet.narrow(plan)
    fraction = fewer.summary(plan)["fraction"]
    assert 0.3 < fraction[unit] <= 0.4
    share = narrowed.parameter_count() / small_sevennet.parameter_count()
    assert fraction["parameters"] == pytest.approx(share)
    # What the layers cost is left to blocks.
    whole = planning(small_sevennet, scores, sweep, **options).plan()
    share = plan.kept_blocks() / plan.total_blocks()
    assert share > whole.kept_blocks() / whole.total_blocks()
    path = tmp_path / "plan.json"
    plan.save(path, fewer.summary(plan))
    loaded = Plan.load(path)
    assert (loaded.keep, loaded.layers, loaded.edits) == (plan.keep, plan.layers, ())


@pytest.mark.parametrize(
    ("cost", "count"),
    [(LEAST_LEFT, None), (0.9 * LEAST_LEFT, 4), (0.65 * LEAST_LEFT, 3), (0.001, 2)],
)
def test_layers_go_before_the_others_are_too_narrow(small_sevennet, cost, count):
    """Here all layers cost the same."""
    found = suit_layers(small_sevennet, lambda kept: cost * 5 / (5 if kept is None else len(kept)))
    assert found == count
    assert fewest_layers(small_sevennet) == (0, 4)


@pytest.mark.parametrize(("budget", "kept"), [(0.1, None), (0.05, (0, 2, 4)), (0.03, (0, 4))])
def test_a_small_budget_has_fewer_layers(sevennet_0, budget, kept):
    scores = compute_scores(sevennet_0, [], criteria=["magnitude"])
    options = {"allocation": "greedy", "layers": "auto", "budget": budget}
    made = planning(sevennet_0, scores, Sweep(), **options)
    plan = made.plan()
    assert plan.layers == kept
    told = None if kept is None else {"asked": "auto", "kept": list(kept)}
    assert plan.provenance.get("layers") == told
    assert made.summary(plan)["fraction"]["flops"] <= budget


def test_scores_are_those_of_the_layers_that_stay(small_sevennet, scores):
    target = Explicit(irreps="8x0e+4x1e", filter_lmax=1, layers=[0, 3, 4])
    made = planning(small_sevennet, scores, explicit=target, layers=target.layers)
    plan = made.plan()
    best = scores.of("magnitude")["features.3.1e"].argsort()[-4:]
    assert plan.keep["features.1.1e"] == tuple(sorted(best.tolist()))
    summary = made.summary(plan)
    assert summary["layers"] == [0, 3, 4]
    assert summary["irreps"] == ["8x0e", "8x0e+4x1e", "8x0e+4x1e", "8x0e"]
    assert small_sevennet.narrow(plan).shape()["irreps"] == summary["irreps"]


def test_rounds_need_a_model_that_works():
    with pytest.raises(ValueError, match="'measured' tries the model as it goes"):
        Recipe(criterion="taylor", allocation="measured", budget=0.5, layers=3)
