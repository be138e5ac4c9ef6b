"""Which models are validated, and beside what."""

from pathlib import Path

from parent_cards import parent_card
from study_samples import make_config

from irrepress.evaluation.physics.config import Validation
from irrepress.study.cards import Card, mark_validated
from irrepress.study.inputs import Inputs
from irrepress.study.parameters import parameters
from irrepress.study.paths import StudyPaths
from irrepress.study.targets import Targets

SMALL = {
    "sweep": {"criteria": ["taylor"], "budgets": [0.5], "axes": ["both"]},
    "train_plans": ["taylor-0.50"],
}
PATHS = StudyPaths(Path("results"), Path("logs"))


def validated(config):
    return [path.as_posix() for path in Targets(config, PATHS).validated()]


def test_the_last_stage_of_trained_plans_is_validated_and_no_quantized_one():
    config = make_config(validation={"dataset": "foundation"}, **SMALL)
    assert validated(config) == [
        "results/sevennet-0/taylor-0.50/distilled/validation.json",
    ]
    assert validated(make_config()) == []
    assert "validation" in Targets(config, PATHS).tables()


def test_a_fine_tuned_model_is_beside_the_parent_that_was_fine_tuned_alike():
    config = make_config(validation={"dataset": "silicon"}, **SMALL)
    folder = "sevennet-0/taylor-0.50/recovered/downstream/silicon/finetuned"
    assert validated(config) == [f"results/{folder}/validation.json"]
    found = Inputs(config, PATHS, None).validation_reference(
        "sevennet-0", "taylor-0.50", "recovered", "silicon", "finetuned"
    )
    end = "validation-reference.json"
    tuned = f"results/sevennet-0/parent/original/downstream/silicon/finetuned/{end}"
    alone = f"results/sevennet-0/parent/original/{end}"
    baselines = config.downstream.baselines
    assert found.as_posix() == (tuned if "parent" in baselines else alone)
    found = Inputs(config, PATHS, None).validation_reference(
        "sevennet-0", "taylor-0.50", "distilled"
    )
    assert found.as_posix() == alone


def test_other_tolerances_do_not_measure_the_parent_again():
    one = Validation(dataset="cell")
    other = Validation(dataset="cell", tolerances={"forces": 1.0}, minutes=9)
    assert parameters(one) == parameters(other)
    assert parameters(one) != parameters(Validation(dataset="cell", frames=3))


def test_a_card_keeps_its_time_when_it_is_marked_and_its_successors_are_not(tmp_path):
    model = tmp_path / "model.pt"
    model.write_bytes(b"weights")
    parent_card(model, name="m").save(tmp_path / "card.json")
    before = (tmp_path / "card.json").stat().st_mtime_ns
    mark_validated(tmp_path / "card.json", {"passed": False, "failed": ["Si8: forces"]})
    assert (tmp_path / "card.json").stat().st_mtime_ns == before
    marked = Card.load(tmp_path / "card.json")
    assert marked.validation["failed"] == ["Si8: forces"]
    stage = {"stage": "pruned"}
    derived = marked.derive(model, name="n", shape={}, parameters=1, stage=stage, seed=0)
    assert derived.validation is None and "validation" not in derived.content()
