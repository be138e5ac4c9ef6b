"""What is read from disk: what is needed, what may be absent, and what messages say."""

import json
import shutil
import subprocess
import sys

import h5py
import pytest
from study_samples import make_config, write_study

from irrepress.core.errors import UserError
from irrepress.report.study import read_study
from irrepress.study.stages import ORIGINAL
from irrepress.study.uses import used_datasets

MODEL = "sevennet-0"


@pytest.fixture
def fresh(study_dir, tmp_path):
    """A copy of the study that a test may damage."""
    return shutil.copytree(study_dir, tmp_path / "study")


@pytest.mark.parametrize(
    "path",
    [
        f"{MODEL}/parent/original/metrics.json",
        f"{MODEL}/parent/original/card.json",
        f"{MODEL}/taylor-0.50/plan.json",
        f"{MODEL}/magnitude-0.25/pruned/metrics.json",
        f"{MODEL}/taylor-0.25/recovered-int8/card.json",
        f"{MODEL}/taylor-0.50/recovered/training.csv",
        f"{MODEL}/taylor-0.50/recovered/downstream/silicon/scratch/metrics.json",
        f"{MODEL}/parent/original/downstream/ethanol/finetuned/training.csv",
        f"{MODEL}/scores.h5",
        "data/foundation.summary.json",
    ],
)
def test_a_missing_file_is_named(fresh, config, path):
    (fresh / path).unlink()
    with pytest.raises(UserError, match=f"{path}: cannot be read"):
        read_study(fresh, config)


@pytest.mark.parametrize(
    ("record", "key"),
    [
        ("metrics.json", "cost.time_ratio"),
        ("metrics.json", "errors.parent.forces_mae"),
        ("card.json", "shape"),
        ("metrics.json", "schema_version"),
    ],
)
def test_a_missing_key_is_named(fresh, config, record, key):
    path = fresh / MODEL / "taylor-0.50" / "pruned" / record
    content = json.loads(path.read_text())
    place = content
    *parents, last = key.split(".")
    for parent in parents:
        place = place[parent]
    del place[last]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"{record}: {key}: field required"):
        read_study(fresh, config)


def test_another_schema_version_is_refused(fresh, config):
    path = fresh / MODEL / "parent" / "original" / "card.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(UserError, match=r"card\.json: schema_version"):
        read_study(fresh, config)


@pytest.mark.parametrize(
    ("record", "read"), [("metrics.json", 2), ("card.json", 1), ("plan.json", 1)]
)
@pytest.mark.parametrize("found", [0, 99])
def test_another_schema_version_is_told_with_the_one_that_is_read(
    fresh, config, record, read, found
):
    folder = fresh / MODEL / "taylor-0.50"
    path = folder / record if record == "plan.json" else folder / "pruned" / record
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": found}))
    message = rf"{record}: schema_version: is {found}, .* reads {read}; "
    with pytest.raises(UserError, match=message):
        read_study(fresh, config)


@pytest.mark.parametrize(
    "key",
    ["parameters", "flops_per_atom", "total_blocks", "seconds", "parent_seconds", "time_ratio"],
)
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_cost_that_nothing_can_be_divided_by_is_named(fresh, config, key, value):
    path = fresh / MODEL / "parent/original/metrics.json"
    metrics = json.loads(path.read_text())
    metrics["cost"][key] = value
    path.write_text(json.dumps(metrics))
    with pytest.raises(UserError, match=rf"original/metrics\.json: cost\.{key}: .*; delete"):
        read_study(fresh, config)


def test_scores_of_another_schema_version_are_refused(fresh, config):
    with h5py.File(fresh / MODEL / "scores.h5", "r+") as file:
        file.attrs["schema_version"] = 1
    with pytest.raises(UserError, match=r"scores\.h5: .* version"):
        read_study(fresh, config)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n"])
def test_a_broken_training_curve_is_named(fresh, config, content):
    path = fresh / MODEL / "taylor-0.50" / "distilled" / "training.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=r"distilled/training\.csv"):
        read_study(fresh, config)


def test_a_truncated_file_of_scores_is_named(fresh, config):
    path = fresh / MODEL / "scores.h5"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=r"scores\.h5"):
        read_study(fresh, config)


def test_scores_without_a_criterion_are_named(fresh):
    config = make_config(sweep={"criteria": ["fisher"], "budgets": [0.5]}, train_plans=[])
    for plan in config.plans():
        shutil.copytree(fresh / MODEL / "taylor-0.50", fresh / MODEL / plan)
    with pytest.raises(UserError, match="criterion 'fisher'"):
        read_study(fresh, config)


@pytest.mark.parametrize(
    "changes",
    [
        {"downstream": None},
        {"distillation": None},
        {"quantization": None},
        {"downstream": None, "distillation": None, "quantization": None, "recovery": None},
        {"train_plans": []},
    ],
)
def test_parts_that_are_not_configured_are_not_looked_for(tmp_path, changes):
    config = make_config(**changes)
    study = read_study(write_study(tmp_path, config), config)
    assert {run.stage for run in study.runs} <= {ORIGINAL, *config.stages()}
    assert len(study.tasks) == (
        0 if config.downstream is None else (2 + 2 * len(config.train_plans)) * 2
    )


@pytest.mark.parametrize(
    ("baselines", "starts"),
    [
        ([], ["taylor-0.50 finetuned"]),
        (["parent"], ["parent finetuned", "taylor-0.50 finetuned"]),
        (["restricted"], ["parent restricted", "taylor-0.50 finetuned"]),
        (["scratch"], ["taylor-0.50 finetuned", "taylor-0.50 scratch"]),
    ],
)
def test_baselines_that_are_not_trained_are_not_looked_for(tmp_path, baselines, starts):
    downstream = {"datasets": ["silicon"], "baselines": baselines}
    config = make_config(downstream=downstream, train_plans=["taylor-0.50"])
    study = read_study(write_study(tmp_path, config), config)
    assert [f"{task.plan} {task.start}" for task in study.tasks] == starts


def test_what_a_perturbed_dataset_is_made_of_is_used(config):
    labels = {"family": "sevennet", "checkpoint": "7net-0"}
    perturbed = {"source": "perturbed", "of": "silicon", "labels": labels}
    datasets = config.model_dump()["datasets"] | {"perturbed": perturbed}
    changes = {"datasets": datasets, "downstream": None}
    assert "silicon" not in used_datasets(make_config(**changes))
    uses = used_datasets(make_config(**changes, distillation={"dataset": "perturbed"}))
    assert uses["silicon"] == ["source of perturbed"]
    assert uses["perturbed"] == ["distillation"]


def test_datasets_that_nothing_uses_are_not_looked_for(study_dir, tmp_path):
    config = make_config(downstream=None)
    study = read_study(study_dir, config)
    assert list(study.data) == ["foundation"]
    card = study.data["foundation"]
    assert card.labelled_by_model
    assert card.uses == ["scoring", "recovery", "distillation", "evaluation"]
    assert card.summary.structures == sum(part.structures for part in card.summary.parts) == 10
    assert [e.number for e in card.summary.elements] == [8, 11, 12, 13, 17, 26, 29, 47]


def test_the_report_needs_no_torch():
    code = "import sys, irrepress.report.page; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
