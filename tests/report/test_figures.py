"""The figures show the numbers of the tables, and what they mark is marked."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from study_samples import ONE_SYSTEM, PARENT_FORCES, make_config, write_study

from irrepress.core.plan import Plan
from irrepress.report import figures, theme
from irrepress.report.figures.heat_maps import kept_figure
from irrepress.report.figures.panel import log_axis
from irrepress.report.study import GroupScores, read_study

POINTS = st.lists(st.tuples(st.floats(0.01, 10), st.floats(0.01, 10)), min_size=1, max_size=20)


@given(POINTS)
@settings(deadline=None, max_examples=50)
def test_the_pareto_front_holds_exactly_what_nothing_beats(points):
    frame = pd.DataFrame(points, columns=["x", "y"])
    front = figures.pareto_front(frame, "x", "y")
    chosen = set(zip(front["x"], front["y"], strict=True))

    def beaten(p):
        return any(q[0] <= p[0] and q[1] <= p[1] and q != p for q in points)

    assert chosen == {p for p in points if not beaten(p)}
    assert front["x"].is_monotonic_increasing


def test_a_model_without_an_error_is_not_on_the_front():
    frame = pd.DataFrame({"x": [1.0, 0.5], "y": [2.0, math.nan]})
    assert figures.pareto_front(frame, "x", "y")["x"].tolist() == [1.0]


class TestPareto:
    @pytest.fixture(scope="class")
    def panel(self, study):
        return figures.pareto_panel(study)

    def traces(self, panel, *key):
        figure = panel.figures[("sevennet-0", *key)]
        return {trace.name: trace for trace in figure.data}, figure

    def test_marks_parent_criteria_axes_and_stages(self, panel):
        traces, _ = self.traces(panel, "time", "forces, vs labels")
        assert traces["parent"].marker.symbol == "star"
        assert list(traces["parent"].x) == [1] and list(traces["parent"].y) == pytest.approx([30])
        taylor = traces["taylor, channels only, pruned"]
        assert taylor.marker.color == theme.CRITERION_COLOURS["taylor"]
        assert taylor.marker.symbol == "diamond-open"
        assert list(taylor.x) == pytest.approx([0.55, 0.275])
        assert traces["magnitude, channels and orders, pruned"].marker.symbol == "circle-open"
        assert traces["taylor, channels and orders, trained"].marker.symbol == "circle"
        assert traces["taylor, explicit irreps, pruned"].marker.symbol == "square-open"

    def test_marks_allocations(self, tmp_path):
        sweep = {"criteria": ["taylor"], "budgets": [0.5]}
        sweep["allocations"] = ["uniform", "iterated", "measured"]
        config = make_config(sweep=sweep, train_plans=[], downstream=None)
        panel = figures.pareto_panel(read_study(write_study(tmp_path, config), config))
        traces, _ = self.traces(panel, "time", "forces, vs labels")
        iterated = traces["taylor, channels only, iterated, pruned"]
        assert iterated.marker.symbol == "diamond-cross-open"
        assert list(iterated.x) == pytest.approx([0.55])
        uniform = traces["taylor, channels and orders, uniform, pruned"]
        assert uniform.marker.symbol == "circle-x-open"
        measured = traces["taylor, channels only, measured, pruned"]
        assert measured.marker.symbol == "diamond-open-dot"

    def test_draws_the_front_from_the_smallest_to_the_parent(self, panel):
        traces, _ = self.traces(panel, "parameters", "forces, vs labels")
        front = traces["Pareto front"]
        assert list(front.x) == [200_000, 400_000, 800_000]
        assert list(front.y) == pytest.approx([160, 80, 30])  # distilled, distilled, parent

    def test_says_that_the_parent_is_off_a_logarithmic_axis_at_zero(self, panel):
        traces, figure = self.traces(panel, "FLOPs", "forces, vs parent")
        assert "parent" not in traces
        assert "error is 0" in figure.layout.annotations[0].text
        assert list(traces["parent, whose error is 0"].x) == [1, 1]

    def test_a_fine_tuned_model_stands_with_what_was_tested_on_the_same(self, tmp_path):
        config = make_config(**ONE_SYSTEM)
        panel = figures.pareto_panel(read_study(write_study(tmp_path, config), config))
        traces, _ = self.traces(panel, "time", "energy, vs labels")
        trained = traces["taylor, channels and orders, trained"]
        assert list(trained.text) == [
            *("taylor-0.50, recovered", "taylor-0.50, recovered, fine-tuned on silicon")
        ]
        assert trained.y[-1] == pytest.approx(4)
        assert list(traces["parent, fine-tuned"].y) == pytest.approx([3])
        assert list(traces["parent"].y) == pytest.approx([7.5])

    def test_errors_on_other_structures_share_no_axis(self, tmp_path):
        config = make_config(**ONE_SYSTEM | {"evaluation": {"dataset": "foundation"}})
        panel = figures.pareto_panel(read_study(write_study(tmp_path, config), config))
        assert panel.choices["Structures"] == ["foundation, test", "silicon, test"]
        for (_, structures, *_), figure in panel.figures.items():
            texts = [text for trace in figure.data for text in trace.text or ()]
            tuned = ["fine-tuned" in text for text in texts]
            assert all(tuned) if structures.startswith("silicon") else not any(tuned)

    def test_a_parent_that_was_not_tested_on_the_same_is_not_drawn(self, tmp_path):
        changes = {"evaluation": {"dataset": "foundation"}}
        changes["downstream"] = {"datasets": ["silicon"], "stage": "recovered", "baselines": []}
        config = make_config(**ONE_SYSTEM | changes)
        panel = figures.pareto_panel(read_study(write_study(tmp_path, config), config))
        traces, _ = self.traces(panel, "silicon, test", "time", "forces, vs labels")
        assert set(traces) == {"Pareto front", "taylor, channels and orders, trained"}

    def test_other_models_stand_beside_the_parent(self, tmp_path):
        small = {"family": "sevennet", "checkpoint": "7net-l3i5", "compress": False}
        models = {"big": {"family": "sevennet", "checkpoint": "7net-0"}, "small": small}
        config = make_config(models=models, train_plans=["taylor-0.50"], downstream=None)
        folder = write_study(tmp_path, config)
        path = folder / "small/parent/original/metrics.json"
        metrics = json.loads(path.read_text())
        metrics["cost"]["seconds"] /= 4
        path.write_text(json.dumps(metrics))
        study = read_study(folder, config)
        panel = figures.pareto_panel(study)
        assert panel.choices["Model"] == ["big"]
        figure = panel.figures["big", "time", "forces, vs labels"]
        (drawn,) = (trace for trace in figure.data if trace.name == "small")
        assert list(drawn.x) == [0.25] and list(drawn.y) == pytest.approx([1e3 * PARENT_FORCES])
        # Each agrees with itself alone, and times on other terms are not comparable.
        others = panel.figures["big", "time", "forces, vs parent"]
        assert "small" not in {trace.name for trace in others.data}
        metrics["cost"]["device"] = "cuda:0"
        path.write_text(json.dumps(metrics))
        panel = figures.pareto_panel(read_study(folder, config))
        names = {
            axis: {trace.name for trace in panel.figures["big", axis, "forces, vs labels"].data}
            for axis in ("time", "parameters")
        }
        assert "small" not in names["time"] and "small" in names["parameters"]

    def test_axes_have_units(self, panel):
        _, figure = self.traces(panel, "time", "stress, vs labels")
        assert "[GPa]" in figure.layout.yaxis.title.text
        assert figure.layout.yaxis.type == "log"


def cell(figure, row, column):
    heat_map = figure.data[0]
    place = list(heat_map.y).index(row), list(heat_map.x).index(column)
    return heat_map.z[place[0]][place[1]], heat_map.text[place[0]][place[1]]


def test_kept_channels_by_site_and_layer(study):
    figure = figures.kept_panel(study).figures["sevennet-0", "taylor-0.25"]
    assert cell(figure, "features 0e", "1") == (25, "8/32")
    assert cell(figure, "messages 2e", "1") == (0, "0/8")
    assert cell(figure, "filter 2e", "all") == (0, "0/1")
    value, text = cell(figure, "messages 0e", "2")  # no such site
    assert math.isnan(value) and text == ""


def test_columns_are_layers_of_the_unpruned_model_where_layers_were_dropped():
    scores = [GroupScores(f"features.{t}.0e", t, "0e", "channel", np.ones(8)) for t in range(4)] + [
        GroupScores("filter.0e", 0, "0e", "order", np.ones(1))
    ]
    keep = {"features.0.0e": (0, 1), "features.1.0e": (2,), "features.2.0e": (0, 1, 2, 3)}
    keep["filter.0e"] = (0,)
    channels = {name: 8 for name in keep} | {"filter.0e": 1}
    figure = kept_figure(scores, Plan(keep, channels, layers=(0, 2)))
    found = [cell(figure, "features 0e", str(t))[1] for t in range(4)]
    assert found == ["2/8", "0/8", "1/8", "4/8"]
    assert cell(figure, "filter 0e", "all") == (100, "1/1")


def test_a_single_layer_of_several_is_the_first_column():
    """MACE's: what leaves it are features 1, and the readout of the last layer is gone."""
    names = ["features.0.0e", "messages.0.0e", "features.1.0e", "messages.1.0e", "features.2.0e"]
    layers = [0, 0, 1, 1, 2]
    scores = [
        GroupScores(name, layer, "0e", "channel", np.ones(8))
        for name, layer in zip(names, layers, strict=True)
    ] + [GroupScores("readout.0.2", 2, "0e", "width", np.ones(4))]
    keep = {name: (0, 1) for name in names[:3]}
    figure = kept_figure(scores, Plan(keep, dict.fromkeys(keep, 8), layers=(0,)))
    found = [cell(figure, "features 0e", str(t))[1] for t in range(3)]
    assert found == ["2/8", "2/8", "0/8"]
    assert [cell(figure, "messages 0e", str(t))[1] for t in range(2)] == ["2/8", "0/8"]
    assert "0/4" in [text for row in figure.data[0].text for text in row]


def test_groups_of_every_family_have_a_cell_of_their_own(tmp_path):
    models = {name: {"family": name, "checkpoint": "some.pt"} for name in ("mace", "escn")}
    config = make_config(
        models=models,
        sweep={"criteria": ["taylor"], "budgets": [0.5]},
        train_plans=[],
        downstream=None,
    )
    found = read_study(write_study(tmp_path, config), config)
    kept = figures.kept_panel(found).figures
    for model in models:
        figure = kept[model, "taylor-0.50"]
        filled = sum(text != "" for row in figure.data[0].text for text in row)
        assert filled == len(found.scores[model, "taylor"])
    mace, escn = kept["mace", "taylor-0.50"], kept["escn", "taylor-0.50"]
    assert cell(mace, "radial.0 0e", "0") == (50, "32/64")
    assert cell(mace, "radial.1 0e", "0") == (50, "16/32")
    assert cell(mace, "radial.0 0e", "1") == (50, "32/64")
    assert cell(mace, "correlation 0e", "0")[1] == "1/3"
    assert cell(escn, "component 1e", "all") == (100, "1/1")
    assert cell(escn, "update 0e+1e+2e", "1") == (50, "16/32")


def test_importance_is_the_mean_score_on_a_logarithmic_scale(study):
    figure = figures.importance_panel(study).figures["sevennet-0", "magnitude"]
    group = next(s for s in study.scores["sevennet-0", "magnitude"] if s.group == "features.1.1e")
    value, text = cell(figure, "features 1e", "1")
    assert value == pytest.approx(math.log10(np.mean(group.scores)))
    assert float(text) == pytest.approx(np.mean(group.scores), rel=0.05)


def test_training_curves_are_in_report_units(study):
    panel = figures.training_panel(study)
    recovered = panel.figures["sevennet-0", "recovered, vs labels", "forces MAE"]
    assert [t.name for t in recovered.data] == ["taylor-0.50, recovered", "taylor-0.25, recovered"]
    curve = recovered.data[0]
    assert list(curve.x) == [50, 100, 150, 200, 250, 300]
    assert curve.y[-1] == pytest.approx(100 * (1 + 3 * math.exp(-6)))
    distilled = panel.figures["sevennet-0", "distilled, vs parent", "forces MAE"]
    assert distilled.data[0].line.color == curve.line.color
    assert distilled.data[0].line.dash != curve.line.dash


@pytest.mark.parametrize(
    ("fraction", "choice", "error", "loss"),
    [
        (0.0, "distilled, vs parent", "vs parent", "loss vs parent"),
        (0.25, "distilled, vs parent", "vs parent", "loss vs 75 % parent, 25 % labels"),
        (1.0, "distilled, vs labels", "vs labels", "loss vs labels"),
    ],
)
def test_errors_against_the_parent_and_against_labels_share_no_axis(
    study, fraction, choice, error, loss
):
    distillation = {"dataset": "foundation", "steps": 300, "label_fraction": fraction}
    panel = figures.training_panel(replace(study, config=make_config(distillation=distillation)))
    assert panel.choices["Training"] == ["recovered, vs labels", choice]
    for (_, training, shown), figure in panel.figures.items():
        stages = {trace.name.split(", ")[-1] for trace in figure.data}
        assert stages == {training.split(", ")[0]}
        title = figure.layout.yaxis.title.text
        if training == choice:
            assert (loss if "loss" in shown else error) in title
        else:
            assert "vs labels" in title


def test_downstream_errors_are_dots_on_a_logarithmic_axis(study):
    panel = figures.downstream_panel(study)
    figure = panel.figures["sevennet-0, taylor-0.50", "energy"]
    bars = {trace.name: list(trace.y) for trace in figure.data}
    assert list(bars) == [
        *("from scratch", "fine-tuned compressed", "fine-tuned parent", "restricted parent")
    ]
    assert {trace.type for trace in figure.data} == {"scatter"}  # a bar has no length here
    assert bars["from scratch"] == pytest.approx([20, 10])
    assert bars["fine-tuned parent"] == pytest.approx([3, 2])
    assert figure.layout.yaxis.type == "log"
    low, high = figure.layout.yaxis.range
    assert low < math.log10(2) and high > math.log10(30)


def test_a_single_downstream_error_stands_in_a_decade(tmp_path):
    config = make_config(downstream={"datasets": ["silicon"], "baselines": []})
    panel = figures.downstream_panel(read_study(write_study(tmp_path, config), config))
    for figure in panel.figures.values():
        low, high = figure.layout.yaxis.range
        (trace,) = figure.data
        assert high - low == pytest.approx(1)
        assert (low + high) / 2 == pytest.approx(math.log10(trace.y[0]))


def test_only_trainings_that_were_made_have_bars_and_curves(tmp_path):
    config = make_config(downstream={"datasets": ["silicon"], "baselines": []})
    study = read_study(write_study(tmp_path, config), config)
    for panel in (figures.downstream_panel(study), figures.downstream_training_panel(study)):
        for figure in panel.figures.values():
            assert [trace.name for trace in figure.data] == ["fine-tuned compressed"]
            assert "scratch" not in panel.description and "parent" not in panel.description


def test_cost_bars_show_packed_sizes_only_where_there_are_any(study):
    panel = figures.cost_panel(study)
    sizes = panel.figures["sevennet-0", "file size"]
    assert [trace.name for trace in sizes.data] == [
        "as the family's own file",
        "packed for storage",
    ]
    assert len(panel.figures["sevennet-0", "parameters"].data) == 1


def test_every_choice_has_a_figure(study):
    for make in (
        figures.pareto_panel,
        figures.kept_panel,
        figures.importance_panel,
        figures.training_panel,
        figures.downstream_panel,
        figures.downstream_training_panel,
        figures.cost_panel,
        figures.data_panel,
    ):
        panel = make(study)
        combinations = math.prod(len(options) for options in panel.choices.values())
        assert len(panel.figures) == combinations
        for key in panel.figures:
            for option, options in zip(key, panel.choices.values(), strict=True):
                assert option in options


def test_dynamics_are_drawn_beside_the_parent(tmp_path):
    dynamics = {"datasets": ["silicon", "foundation"]}
    evaluation = {"dataset": "foundation", "dynamics": dynamics}
    config = make_config(train_plans=["taylor-0.50"], evaluation=evaluation)
    panel = figures.dynamics_panel(read_study(write_study(tmp_path, config), config))
    assert panel.choices["Dataset"] == ["silicon", "foundation"]
    energy = panel.figures["sevennet-0", "silicon", "total energy"]
    assert [line.name for line in energy.data] == ["parent", "taylor-0.50, recovered, fine-tuned"]
    assert list(energy.data[1].y) == pytest.approx([0, 1e-3, 2e-3])
    # Beside how much the kinetic energy varies, 4 meV/atom, that is nothing.
    assert energy.layout.yaxis.range == pytest.approx((-4.4, 4.4))
    temperature = panel.figures["sevennet-0", "foundation", "temperature"]
    assert list(temperature.data[0].y) == [300.0, 350.0, 280.0]
    assert temperature.layout.yaxis.range is None


def test_parts_that_are_absent_have_no_figures(tmp_path):
    config = make_config(downstream=None, distillation=None, quantization=None, recovery=None)
    study = read_study(write_study(tmp_path, config), config)
    assert figures.training_panel(study) is None
    assert figures.downstream_panel(study) is None
    assert figures.downstream_training_panel(study) is None
    assert figures.dynamics_panel(study) is None


def _luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("background", ["#ffffff", "#11161b"])
def test_data_colours_stand_out_on_both_backgrounds(background):
    # WCAG 2.1, 1.4.11: graphics need a contrast of 3:1.
    colours = {*theme.CYCLE, *theme.CRITERION_COLOURS.values(), theme.PARENT_COLOUR}
    for colour in colours:
        lighter, darker = sorted([_luminance(colour), _luminance(background)], reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 3, colour


@pytest.mark.parametrize("values", [[30, 45], [0.012, 0.9], [1, 2e6], [3, 3]])
def test_logarithmic_axes_have_ticks_near_the_data(values):
    ticks = log_axis(values)["tickvals"]
    low, high = min(values) / 1.3, max(values) * 1.3
    assert 2 <= len([tick for tick in ticks if low <= tick <= high]) <= 12
