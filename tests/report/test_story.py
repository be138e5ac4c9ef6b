"""The sentences say what the numbers say."""

import json
import re

import pytest
from study_samples import ONE_SYSTEM, make_config, write_study

from irrepress.report import story, tables, text
from irrepress.report.study import read_study

ERRORS = [f"{q}_{s}" for q in ("energy", "forces", "stress") for s in ("mae", "rmse")]


def sentences(told, title):
    return " ".join(next(step.sentences for step in told.steps if step.title == title))


def test_the_story_goes_from_the_parent_to_the_smallest_model(study):
    told = story.tell(study, "sevennet-0")
    assert (told.smallest.plan, told.smallest.name) == ("taylor-0.25", "distilled")
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


def change(path, **keys):
    """Change keys of a JSON file."""
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | keys))


def own_study(tmp_path, **changes):
    """A study of a user's own system, and its config."""
    config = make_config(**ONE_SYSTEM | changes)
    return write_study(tmp_path, config), config


def test_the_story_of_one_system_ends_at_its_fine_tuned_model(tmp_path):
    study_dir, config = own_study(tmp_path)
    path = study_dir / "sevennet-0/taylor-0.50/recovered/downstream/silicon/finetuned/metrics.json"
    measured = json.loads(path.read_text())["checks"]
    measured["own"]["rotation"] = 5e-12
    change(path, checks=measured)
    told = story.tell(read_study(study_dir, config), "sevennet-0")
    assert (told.final.dataset, told.final.start) == ("silicon", "finetuned")
    assert told.chosen.startswith("The study ends at taylor-0.50, recovered, fine-tuned on silicon")
    # 100 meV/Å after fine-tuning; the compressed model alone has 0.1 / 0.5 * 0.5 = 100, too
    values = [tile.value for tile in told.tiles]
    assert values == ["2.0×", "2.5×", "100 meV/Å", "5.0e-12"]
    caption = told.tiles[2].caption
    assert caption.startswith("forces MAE against the labels of silicon, after fine-tuning; before")
    assert "the parent as it is 30.0; the parent, fine-tuned alike, 80.0" in caption


def test_of_one_plan_the_best_stage_is_told(tmp_path):
    study_dir, config = own_study(tmp_path, downstream=None)
    told = story.tell(read_study(study_dir, config), "sevennet-0")
    assert told.chosen.startswith("The study ends at taylor-0.50, recovered, the stage of least")


def test_of_several_plans_it_is_said_which_one_is_told(study):
    told = story.tell(study, "sevennet-0")
    assert "of the 2 plans that were carried on, the one with the fewest parameters" in told.chosen


@pytest.mark.parametrize(
    ("kept", "sentence"),
    [
        ("start", "did not improve on the weights that it began with, and was rejected: the "),
        ("best", "for 300 steps brings the errors"),
    ],
)
def test_a_training_that_was_rejected_is_told_as_such(tmp_path, kept, sentence):
    config = make_config(downstream=None)
    study_dir = write_study(tmp_path, config)
    card = study_dir / "sevennet-0/taylor-0.25/distilled/card.json"
    stages = json.loads(card.read_text())["stages"]
    change(card, stages=[*stages[:-1], stages[-1] | {"kept": kept}])
    told = sentences(story.tell(read_study(study_dir, config), "sevennet-0"), "Distilled")
    assert sentence in told
    assert ("has the weights of the pruned one" in told) == (kept == "start")
    assert ("brings the errors" in told) == (kept == "best")


def test_a_rejected_fine_tuning_is_told_as_such(tmp_path):
    study_dir, config = own_study(tmp_path)
    card = study_dir / "sevennet-0/taylor-0.50/recovered/downstream/silicon/finetuned/card.json"
    change(card, stages=[{"stage": "finetuned", "kept": "start"}])
    told = sentences(story.tell(read_study(study_dir, config), "sevennet-0"), "Downstream")
    assert "On silicon, training did not improve on the weights that it began with" in told


def test_a_plan_edited_by_hand_is_told_as_such(tmp_path):
    study_dir, config = own_study(tmp_path)
    edit = "features.1.1e keeps 8 of 16 instead of 12"
    stages = [{"stage": "pruned", "plan": "taylor-0.50", "edited": [edit]}]
    for stage in ("pruned", "recovered"):
        change(study_dir / f"sevennet-0/taylor-0.50/{stage}/card.json", stages=stages)
    study = read_study(study_dir, config)
    told = sentences(story.tell(study, "sevennet-0"), "Pruned")
    assert f"This plan was edited by hand: {edit}." in told
    assert tables.sweep_table(study)["edited by hand"].dropna().to_dict() == {1: edit}


def test_one_plan_is_told_in_the_singular(tmp_path):
    study_dir, config = own_study(tmp_path)
    told = sentences(story.tell(read_study(study_dir, config), "sevennet-0"), "The sweep")
    assert told.startswith("One plan, taylor-0.50, cuts it down to 50 % of the parameters.")


def test_labels_of_an_unknown_level_are_labels(tmp_path):
    study_dir, config = own_study(tmp_path)
    for path in study_dir.rglob("metrics.json"):
        change(path, labels="unknown")
    told = sentences(story.tell(read_study(study_dir, config), "sevennet-0"), "The parent")
    assert "against the labels are" in told and "unknown" not in told


def test_training_is_compared_with_what_it_began_with(tmp_path):
    config = make_config(compensation={"dataset": "foundation", "structures": 16})
    told = story.tell(read_study(write_study(tmp_path, config), config), "sevennet-0")
    compensated = sentences(told, "Compensated")
    assert re.search(r"on 16 structures of foundation, without training", compensated)
    assert re.search(r"400 meV/Å in forces to .* 300 meV/Å", compensated)
    assert re.search(r"300 meV/Å in forces to .* 200 meV/Å", sentences(told, "Recovered"))


def test_dynamics_are_told_beside_the_parents(tmp_path):
    evaluation = {"dataset": "foundation", "dynamics": {"datasets": ["silicon"]}}
    config = make_config(evaluation=evaluation)
    step = story.tell(read_study(write_study(tmp_path, config), config), "sevennet-0").steps[-1]
    assert step.title == "Molecular dynamics"
    (sentence,) = step.sentences
    assert sentence.startswith("In 0.50 ps of Si16 at constant energy, begun at 300 K, the comp")
    assert "keeps the energy to 0.0020 meV/atom/ps and a mean temperature of 305 K" in sentence
    assert sentence.endswith(
        "20.0 steps per second. The parent: 0.0010 meV/atom/ps, a mean "
        "temperature of 310 K, 4.00 steps per second."
    )


def test_the_papers_figures_are_called_the_papers(study):
    downstream = sentences(story.tell(study, "sevennet-0"), "Downstream")
    own, paper = downstream.split("The paper")
    assert "in the median 70.0 % lower (from 60.0 % lower to 80.0 % lower) in energy" in own
    assert "62.5 % lower (from 50.0 % lower to 75.0 % lower) in forces" in own
    assert "the means are 70.0 % lower and 62.5 % lower" in own
    assert "2605.08885" in paper and "70.1 % lower and 34.4 % lower" in paper


def test_where_the_untouched_parent_is_better_is_told(tmp_path):
    config = make_config()
    study_dir = write_study(tmp_path, config)
    path = study_dir / "sevennet-0/parent/original/downstream/silicon/restricted/metrics.json"
    metrics = json.loads(path.read_text())
    metrics["errors"]["labels"]["forces_mae"] = 0.05
    path.write_text(json.dumps(metrics))
    told = sentences(story.tell(read_study(study_dir, config), "sevennet-0"), "Downstream")
    assert "than the compressed model on 1 of 2 in forces (silicon) and 0 of 2 in energy." in told


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
    assert (told.smallest.plan, told.smallest.name) == ("taylor-0.25", "pruned")
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
