import json
from dataclasses import replace

import numpy as np
import pytest

from irrepress.core.errors import UserError
from irrepress.evaluation.shapes import time_shapes
from irrepress.evaluation.timing import reference_crystal
from irrepress.pruning.budget import Costs
from irrepress.pruning.latency import CALL, TimedShape, TimeModel, TimeTable, leave_one_out
from irrepress.pruning.shapes import design_shapes


@pytest.fixture(scope="module")
def terms(small_sevennet):
    return small_sevennet.cost_terms()


def made_up(terms, widths, neighbours=1.0) -> float:
    """Seconds of a machine that takes its time for calls and for products of orders 1 and 2."""
    values = terms(widths)
    return 0.01 + 1e-4 * values["paths"] + 1e-5 * neighbours * values["products 1x2"]


@pytest.fixture(scope="module")
def shapes(small_sevennet, terms):
    groups = small_sevennet.groups()
    widths = [plan.widths(groups) for plan in design_shapes(groups, 36, seed=0)]
    return [TimedShape(w, 1, 1.0, made_up(terms, w)) for w in widths]


def test_times_that_are_sums_of_terms_are_found_again(terms, shapes):
    assert np.abs(leave_one_out(terms, shapes)).max() < 0.02
    model = TimeModel.fit(terms, shapes)
    assert model.seconds[CALL] == pytest.approx(0.01, rel=0.1)
    assert model.seconds["paths"] == pytest.approx(1e-4, rel=0.1)
    assert all(seconds >= 0 for seconds in model.seconds.values())


def test_noise_is_averaged(terms, shapes):
    rng = np.random.default_rng(0)
    noisy = [TimedShape(s.widths, 1, 1.0, s.seconds * np.exp(0.1 * rng.normal())) for s in shapes]
    model = TimeModel.fit(terms, noisy)
    errors = [model(s.widths) / s.seconds - 1 for s in shapes]
    assert np.mean(np.abs(errors)) < 0.06


def test_a_narrower_model_is_never_slower(terms, shapes):
    """Not even where the machine was so busy that some narrower shapes took longer."""
    rng = np.random.default_rng(1)
    busy = [replace(s, seconds=s.seconds * np.exp(rng.normal())) for s in shapes]
    model = TimeModel.fit(terms, busy)
    whole = shapes[0].widths
    for key, width in whole.items():
        for narrower in range(width // 2, width):
            assert model({**whole, key: narrower}) <= model(whole), key


@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.8])
def test_fewer_neighbours_take_the_time_that_the_machine_takes_for_them(
    sevennet, terms, shapes, fraction
):
    """It calls as often, and has fewer products of neighbours to compute."""
    fixed = sevennet.terms_without_neighbours
    fewer = TimeModel.fit(terms, shapes).with_neighbours(fraction, fixed)
    expected = [made_up(terms, s.widths, neighbours=fraction) for s in shapes]
    np.testing.assert_allclose([fewer(s.widths) for s in shapes], expected, rtol=0.05)


def test_costs_of_a_shorter_cutoff(sevennet, small_sevennet, terms, shapes):
    time = TimeModel.fit(terms, shapes)
    whole, shorter = (
        Costs.of(small_sevennet, time, cutoff) for cutoff in (None, 0.5 ** (1 / 3) * 5)
    )
    assert whole.model({}) == small_sevennet.cost_model()({})
    assert shorter.model({}).parameters == whole.model({}).parameters
    assert 0.5 < shorter.model({}).flops / whole.model({}).flops < 0.6
    assert shorter.time({}) == pytest.approx(
        time.with_neighbours(0.5, sevennet.terms_without_neighbours)({})
    )


def test_a_table_survives_its_file(tmp_path, terms, shapes):
    path = tmp_path / "shapes.json"
    table = TimeTable(shapes, {"device": "cpu"})
    error = table.save(path, terms)
    loaded = TimeTable.load(path)
    assert list(loaded.shapes) == list(shapes) and loaded.provenance == {"device": "cpu"}
    fit = json.loads(path.read_text())["fit"]
    assert fit["leave_one_out"]["mean"] == pytest.approx(error)
    assert sum(fit["seconds_of_unpruned"].values()) == pytest.approx(shapes[0].seconds, rel=0.02)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"schema_version": 9}', "delete it and run the workflow again"),
        ('{"schema_version": 1, "shapes": [{"widths": {}}]}', "every shape needs"),
        ('{"schema_version": 1}', "every shape needs"),
    ],
)
def test_another_file_is_refused(tmp_path, content, message):
    path = tmp_path / "shapes.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        TimeTable.load(path)


@pytest.mark.parametrize("key", ["parameters", "flops", "seconds"])
@pytest.mark.parametrize("value", [0, -1.0, None, float("nan")])
def test_a_cost_that_nothing_can_be_divided_by_is_named(tmp_path, key, value):
    shape = {"widths": {"a": 8}, "parameters": 10, "flops": 1e3, "seconds": 0.1, key: value}
    path = tmp_path / "shapes.json"
    path.write_text(json.dumps({"schema_version": 1, "shapes": [shape]}))
    with pytest.raises(
        UserError, match=rf"shapes\.json: shapes\.0\.{key} must be a positive number"
    ):
        TimeTable.load(path)


def test_shapes_are_timed_beside_the_unpruned_model(small_sevennet, drawn):
    groups = small_sevennet.groups()
    plans = [small_sevennet.native_plan(plan)[0] for plan in design_shapes(groups, 4, seed=0)[1:]]
    crystal = reference_crystal(small_sevennet.elements, 8)
    timed = time_shapes(small_sevennet, plans, crystal, repeats=2)
    assert [shape.widths for shape in timed[1:]] == [plan.widths(groups) for plan in plans]
    assert timed[0].parameters == small_sevennet.parameter_count()
    assert timed[0].flops > max(shape.flops for shape in timed[1:])
    assert all(shape.seconds > 0 for shape in timed)
    shown = drawn()
    assert "preparing shapes" in shown and "timing shapes" in shown
