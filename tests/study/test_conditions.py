"""Temperatures and pressure of dynamics, as options ask for them."""

import pytest

from irrepress.core.errors import UserError
from irrepress.data.config import Split
from irrepress.data.sources.sample import divide_runs
from irrepress.study.conditions import Conditions


def test_room_temperature_is_told_where_it_is_the_default():
    (finding,) = Conditions.of().findings()
    assert str(finding).startswith("300 K, for no temperature was given; give all that")
    assert Conditions.of([300]).findings() == []


def test_heat_is_told():
    (finding,) = Conditions.of([300, 4000]).findings()
    assert str(finding).startswith("4000 K is hot")


@pytest.mark.parametrize(
    ("temperatures", "pressure", "message"),
    [
        ([0], None, "--temperature 0: give temperatures in K between 1 and 10,000"),
        ([-5.0], None, "--temperature -5: "),
        ([300, 1e6], None, "--temperature 1e\\+06: "),
        ([float("nan")], None, "--temperature nan: "),
        ([300, 300], None, "--temperature 300 is given twice"),
        ([300], 1e5, "--pressure 100000: give a pressure in GPa"),
    ],
)
def test_what_there_cannot_be_is_refused(temperatures, pressure, message):
    with pytest.raises(UserError, match=f"^{message}"):
        Conditions.of(temperatures, pressure)


@pytest.mark.parametrize(
    ("temperatures", "structures", "runs"),
    [([300], 1, 14), ([300, 900], 16, 21), ([100, 200, 300, 400, 500], 1, 42), ([300], 5000, 24)],
)
def test_every_temperature_has_runs_for_every_part(temperatures, structures, runs):
    conditions = Conditions.of(temperatures)
    assert conditions.runs(structures) == runs
    assert conditions.frames(structures) == 20 * runs
    given = [conditions.sampled[run % len(conditions.sampled)] for run in range(runs)]
    divided = divide_runs(given, Split(train=0.7, valid=0.15, test=0.15))
    for members in divided.values():
        assert {given[run] for run in members} == set(conditions.sampled)


@pytest.mark.parametrize(
    ("temperatures", "sampled"),
    [
        ([300, 900], (300, 900, 1125)),
        ([2], (2, 5)),
        ([9000], (9000, 10_000)),
        ([10_000, 300], (10_000, 300)),
    ],
)
def test_dynamics_of_the_large_model_are_run_hotter_than_the_small_one_is_used(
    temperatures, sampled
):
    assert Conditions.of(temperatures).sampled == sampled


@pytest.mark.parametrize(("elements", "close"), [(1, 48), (4, 80), (6, 168), (80, 240)])
def test_every_pair_of_elements_is_among_the_close_ones(elements, close):
    assert Conditions.of(close_pairs=True).close(elements) == close
