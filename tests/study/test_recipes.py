"""Recipes, and how they are recorded; their names are tested with the config (test_config)."""

import pytest
from pydantic import ValidationError

from irrepress.core.target import Explicit
from irrepress.pruning.config import Sweep
from irrepress.study.recipes import Recipe, recipes


def test_a_record_holds_what_applies():
    budget = Recipe(criterion="taylor", axes="both", allocation="greedy", budget=0.5)
    assert budget.record() == {
        "criterion": "taylor",
        "axes": "both",
        "allocation": "greedy",
        "cutoff": None,
        "budget": 0.5,
    }
    explicit = Recipe(criterion="taylor", explicit=Explicit(irreps="16x0e"))
    assert explicit.record() == {
        "criterion": "taylor",
        "axes": "both",
        "cutoff": None,
        "explicit": {"irreps": "16x0e", "filter_lmax": None, "widths": {}, "cutoff": None},
    }


@pytest.mark.parametrize("explicit", [{}, {"half": Explicit(irreps="64x0e", cutoff=4.0)}])
def test_a_recipe_can_be_read_from_its_record(explicit):
    sweep = Sweep(budgets=[0.5], cutoffs=[None, 4.6], explicit=explicit)
    for recipe in recipes(sweep).values():
        assert Recipe.model_validate(recipe.record()) == recipe


def test_names_say_what_differs_from_the_usual():
    sweep = Sweep(
        criteria=["taylor"],
        budgets=[0.5],
        allocations=["greedy", "measured"],
        cutoffs=[None, 4.6],
        explicit={"half-l1": Explicit(irreps="64x0e+32x1e", cutoff=4.0)},
    )
    made = recipes(sweep)
    assert list(made) == [
        "taylor-0.50",
        "taylor-0.50-4.6A",
        "taylor-0.50-measured",
        "taylor-0.50-measured-4.6A",
        "taylor-0.50-channels",
        "taylor-0.50-channels-4.6A",
        "taylor-0.50-channels-measured",
        "taylor-0.50-channels-measured-4.6A",
        "taylor-half-l1",
    ]
    assert [recipe.in_rounds for recipe in made.values()] == [
        *(False, False, True, True, False, False, True, True, False)
    ]


@pytest.mark.parametrize(
    "named",
    [{}, {"budget": 0.5}, {"budget": 0.5, "allocation": "greedy", "explicit": {"cutoff": 4.0}}],
)
def test_a_recipe_has_a_budget_or_an_explicit_target(named):
    with pytest.raises(ValidationError, match="either a budget and an allocation or an explicit"):
        Recipe.model_validate({"criterion": "taylor", **named})
