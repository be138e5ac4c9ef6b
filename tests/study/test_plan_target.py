"""Targets of plans: one for the command line and for Python, each in its own words."""

import pytest

from irrepress.core.errors import UserError
from irrepress.study.plan_target import Target
from irrepress.study.recipes import recipes


@pytest.mark.parametrize(
    ("fractions", "shape", "message"),
    [
        ({}, {}, "nothing is asked for; give one of .*, or a shape"),
        ({"speedup": 2.0, "parameters": 0.5}, {}, "--speedup, --parameters name several targets"),
        ({"speedup": 2.0}, {"filter_lmax": 0}, "--speedup, --filter-lmax name several targets"),
        ({"speedup": 0.5}, {}, "--speedup 0.5: it must be more than 1"),
        ({"speedup": 5000}, {}, "--speedup 5000: it must be more than 1 and at most 1000"),
        ({"parameters": 5.0}, {}, "--parameters 5: it is the fraction that stays"),
        ({}, {"irreps": "8y0e"}, "--irreps 8y0e: irreps: "),
    ],
)
def test_a_target_that_makes_no_sense_is_told(fractions, shape, message):
    with pytest.raises(UserError, match=f"^{message}"):
        Target.of(fractions, **shape)


def test_messages_speak_of_what_the_user_wrote():
    with pytest.raises(UserError, match=r"^plan: speedup=0\.5: it must be more than 1"):
        Target.of({"speedup": 0.5}, said="arguments")
    with pytest.raises(UserError, match=r"^plan: layers='auto': layers suit a budget, not a shape"):
        Target.of(irreps="8x0e", layers="auto", said="arguments")
    with pytest.raises(UserError, match=r"^plan: irreps: '?8y0e"):
        Target.of(irreps="8y0e", said="arguments")


def test_a_runtime_is_that_of_a_speedup():
    assert Target.of({"speedup": 3.0}, runtime="torchscript").sweep().runtime == "torchscript"
    with pytest.raises(UserError, match=r"^--runtime symmetrix is what a speed-up is measured in"):
        Target.of({"parameters": 0.5}, runtime="symmetrix")
    with pytest.raises(UserError, match=r"^plan: runtime='symetrix': did you mean 'symmetrix'"):
        Target.of({"speedup": 3.0}, runtime="symetrix", said="arguments")


@pytest.mark.parametrize("speedup", [1.5, 3, 6, 7.5, 900])
def test_no_less_than_the_asked_speed_is_allowed(speedup):
    budget = Target.of({"speedup": speedup}).budget
    assert 0.9 < speedup * budget <= 1


@pytest.mark.parametrize(
    ("target", "unit"),
    [
        (Target.of({"speedup": 3}), "time"),
        (Target.of({"parameters": 0.3}), "parameters"),
        (Target.of({"flops": 0.3}, cutoff=4.0), "flops"),
        (Target.of({"speedup": 25}, cutoff=4.5, layers=3), "time"),
        (Target.of({"blocks": 0.3}, layers=[0, 1, 4]), "blocks"),
        (Target.of(irreps="64x0e+32x1e", filter_lmax=1), "flops"),
        (Target.of(irreps="64x0e+32x1e", layers=3), "flops"),
    ],
)
def test_a_study_and_a_call_make_the_same_plan(target, unit):
    assert target.unit == unit
    (recipe,) = recipes(target.sweep()).values()
    assert recipe == target.recipe("fisher", "both", "greedy")
