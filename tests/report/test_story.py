"""The sentences say what the numbers say."""

import doctest
import json
import re

import pytest
from study import make_config, write_study

from irrepress.report import story, text
from irrepress.report.study import read_study

ERRORS = [f"{q}_{s}" for q in ("energy", "forces", "stress") for s in ("mae", "rmse")]


def sentences(told, title):
    return " ".join(next(step.sentences for step in told.steps if step.title == title))


def test_the_story_goes_from_the_parent_to_the_smallest_model(study):
    told = story.tell(study, "sevennet-0")
    assert (told.smallest.plan, told.smallest.stage) == ("taylor-0.25", "distilled")
    assert [step.title for step in told.steps] == [
        "The parent",
        "The sweep",
        "Pruned",
        "Recovered",
        "Distilled",
        "Quantized to 8 bits",
        "Downstream",
    ]


def test_its_numbers_are_those_of_the_study(study):
    told = story.tell(study, "sevennet-0")
    assert "800,000 parameters" in sentences(told, "The parent")
    assert "7.50 meV/atom in energy and 30.0 meV/Å in forces" in sentences(told, "The parent")
    assert "taylor leaves the smallest forces error in 4 of 4" in sentences(told, "The sweep")
    assert "faster model in 4 of 4 pairs" in sentences(told, "The sweep")
    assert "200,000 parameters, 25 % of the FLOPs and 20 % of the time" in sentences(told, "Pruned")
    # pruned 0.1 / 0.25 = 400 meV/Å, halved by recovery
    recovered = sentences(told, "Recovered")
    assert re.search(r"for 300 steps .* 400 meV/Å in forces to .* 200 meV/Å", recovered)
    assert "0.200 MB where the model's own file takes 0.800 MB" in sentences(
        told, "Quantized to 8 bits"
    )
    values = [tile.value for tile in told.tiles]
    assert values == ["4.0×", "5.0×", "160 meV/Å", "2.0e-13"]


def test_training_is_compared_with_what_it_began_with(tmp_path):
    config = make_config(compensation={"dataset": "foundation", "structures": 16})
    told = story.tell(read_study(write_study(tmp_path, config), config), "sevennet-0")
    compensated = sentences(told, "Compensated")
    assert re.search(r"on 16 structures of foundation, without training", compensated)
    assert re.search(r"400 meV/Å in forces to .* 300 meV/Å", compensated)
    assert re.search(r"300 meV/Å in forces to .* 200 meV/Å", sentences(told, "Recovered"))


def test_the_papers_figures_are_called_the_papers(study):
    downstream = sentences(story.tell(study, "sevennet-0"), "Downstream")
    own, paper = downstream.split("The paper")
    assert "70.0 % lower in energy and 62.5 % lower in forces" in own
    assert "2605.08885" in paper and "70.1 % lower and 34.4 % lower" in paper


def test_without_baselines_the_errors_are_told(tmp_path):
    def told(baselines):
        config = make_config(downstream={"datasets": ["silicon"], "baselines": baselines})
        study_dir = write_study(tmp_path / "-".join(baselines), config)
        return sentences(story.tell(read_study(study_dir, config), "sevennet-0"), "Downstream")

    own = "the compressed model's errors on 2 test structures are 4.00 meV/atom in energy and 100 "
    assert told([]) == f"Fine-tuned on silicon, {own}meV/Å in forces."
    assert "those of the parent, fine-tuned alike, 3.00 meV/atom" in told(["parent"])


@pytest.mark.parametrize("absent", [None, dict.fromkeys(ERRORS)])
def test_without_labels_errors_are_those_against_the_parent(tmp_path, absent):
    config = make_config(downstream=None)
    study_dir = write_study(tmp_path, config)
    for path in study_dir.rglob("metrics.json"):
        metrics = json.loads(path.read_text())
        metrics["errors"]["labels"] = absent
        path.write_text(json.dumps(metrics))
    told = story.tell(read_study(study_dir, config), "sevennet-0")
    assert "labels" not in sentences(told, "The parent")
    assert "against the parent are 80.0 meV/atom in energy and 200 meV/Å" in sentences(
        told, "Pruned"
    )


def test_without_training_the_smallest_pruned_model_is_the_end(tmp_path):
    config = make_config(
        train_plans=[], recovery=None, distillation=None, quantization=None, downstream=None
    )
    told = story.tell(read_study(write_study(tmp_path, config), config), "sevennet-0")
    assert (told.smallest.plan, told.smallest.stage) == ("taylor-0.25", "pruned")
    assert [step.title for step in told.steps] == ["The parent", "The sweep", "Pruned"]


def test_without_plans_the_parent_is_the_story(tmp_path):
    config = make_config(
        sweep={"budgets": []},
        train_plans=[],
        recovery=None,
        distillation=None,
        quantization=None,
        downstream=None,
    )
    told = story.tell(read_study(write_study(tmp_path, config), config), "sevennet-0")
    assert told.smallest.is_parent
    assert [step.title for step in told.steps] == ["The parent"]


def test_examples_in_docstrings():
    assert doctest.testmod(text).failed == 0


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (float("inf"), "∞"),
        (0.0, "0"),
        (9.996, "10.00"),
        (999.6, "1,000"),
        (-0.5, "-0.500"),
        (4e-7, "4.0e-7"),
    ],
)
def test_numbers(value, written):
    assert text.number(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.0124, "12.4 ms"), (3.14, "3.1 s"), (720, "12 min"), (18720, "5.2 h")],
)
def test_durations(value, written):
    assert text.seconds(value) == written
