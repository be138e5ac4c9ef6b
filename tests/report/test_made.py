"""What was made, in a few lines a model, from the records of a study."""

import json
import shutil
from pathlib import Path

import pytest
from study_samples import (
    MODEL_LABELS,
    ONE_SYSTEM,
    PARENT_PARAMETERS,
    forces_mae,
    make_config,
    time_ratio,
    write_study,
)

from irrepress.core.errors import UserError
from irrepress.report.made import MOST_TOLD, Made, describe, final_folders, terminal_text
from irrepress.study.paths import ModelFolder


def described(folder: Path) -> Made:
    return describe(ModelFolder.of(folder))


def test_a_model_tells_its_errors_speed_and_how_to_load_it(study_dir, config):
    recipe = config.plans()["taylor-0.50"]
    folder = study_dir / "sevennet-0" / "taylor-0.50" / "recovered"
    made = described(folder)
    forces = 1e3 * forces_mae(recipe, "recovered")
    assert made.path == folder / "model.pt"
    assert f"forces {forces:.0f} meV/Å" in made.errors
    assert made.errors.endswith(f"(MAE against {MODEL_LABELS}, 2 test structures of foundation)")
    assert "energy 7.50 meV/atom, forces 30.0 meV/Å" in made.parent_errors
    assert made.speed.startswith(f"{1 / time_ratio(recipe):.1f}× the parent's on 64 atoms")
    assert f"{PARENT_PARAMETERS // 2:,} parameters of {PARENT_PARAMETERS:,}" in made.speed
    assert made.load.endswith(f"SevenNetCalculator('{folder / 'model.pt'}')")
    text = "\n".join(made.lines())
    assert all(part in text for part in (str(made.path), made.errors, made.speed, made.load))


def test_a_downstream_model_is_told_beside_its_fine_tuned_parent(study_dir):
    folder = study_dir / "sevennet-0/taylor-0.50/recovered/downstream/silicon/finetuned"
    made = described(folder)
    assert made.errors.startswith("energy 4.00 meV/atom, forces 100 meV/Å (MAE against PBE")
    assert made.parent_errors == "energy 3.00 meV/atom, forces 80.0 meV/Å"
    assert made.speed.startswith("2.5× the parent's") and "left out" not in made.speed


def test_a_parent_that_was_not_fine_tuned_is_told_as_it_is(tmp_path):
    config = make_config(**ONE_SYSTEM | {"downstream": {"datasets": ["silicon"], "baselines": []}})
    folder = write_study(tmp_path, config) / "sevennet-0/taylor-0.50/recovered"
    made = described(folder / "downstream/silicon/finetuned")
    assert made.parent_errors.startswith("energy 7.50 meV/atom, forces 30.0 meV/Å")


def test_a_downstream_model_that_was_not_timed_has_the_speed_of_what_it_was_made_of(study_dir):
    made = described(study_dir / "sevennet-0/taylor-0.50/recovered/downstream/silicon/scratch")
    assert made.speed.startswith("2.5× the parent's") and "left out" in made.speed


def test_dynamics_are_told(tmp_path):
    evaluation = {"dataset": "foundation", "dynamics": {"datasets": ["silicon"]}}
    study = write_study(tmp_path, make_config(evaluation=evaluation))
    made = described(study / "sevennet-0/taylor-0.50/recovered/downstream/silicon/finetuned")
    (line,) = (line for line in made.lines() if line.startswith("  MD "))
    assert line == (
        "  MD      0.50 ps of Si16 (silicon) at constant energy: stable, drift 0.0020 meV/atom/ps, "
        "305 K, 20.0 steps per second"
    )
    assert described(study / "sevennet-0/taylor-0.50/recovered").dynamics == []


def test_predictions_that_are_not_finite_are_told(study_dir, tmp_path):
    folder = shutil.copytree(
        study_dir / "sevennet-0/parent/original", tmp_path / "m/parent/original"
    )
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["failures"] = {"structures": 2, "quantities": {"forces": 2}}
    metrics["errors"]["labels"]["forces_mae"] = None
    (folder / "metrics.json").write_text(json.dumps(metrics))
    assert "predictions of 2 structures are not finite" in described(folder).errors
    metrics["errors"]["labels"] = dict.fromkeys(metrics["errors"]["labels"])
    metrics["errors"]["parent"] = None
    (folder / "metrics.json").write_text(json.dumps(metrics))
    assert described(folder).errors.startswith("none: predictions of 2 structures are not finite")


def test_the_parent_has_no_speed_beside_itself(study_dir):
    made = described(study_dir / "sevennet-0/parent/original")
    assert (made.parent_errors, made.speed) == (None, None)
    assert "forces 30.0 meV/Å" in made.errors


def test_what_was_not_measured_is_said(study_dir, tmp_path):
    folder = tmp_path / "sevennet-0/taylor-0.50/recovered"
    shutil.copytree(study_dir / "sevennet-0/parent", tmp_path / "sevennet-0/parent")
    shutil.copytree(study_dir / "sevennet-0/taylor-0.50/recovered", folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["errors"] = {"labels": dict.fromkeys(metrics["errors"]["labels"])}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    assert described(folder).errors == "none: no labels to compare with in foundation"
    (folder / "metrics.json").unlink()
    lines = described(folder).lines()
    assert "not evaluated" in lines[1] and len(lines) == 3
    (folder / "card.json").unlink()
    with pytest.raises(UserError, match=r"card\.json"):
        described(folder)


RUNS = {
    "data and downloads": (["data/a.h5", "data/a.summary.json"], []),
    "scores": (["m/parent/original/model.pt", "m/scores.h5", "m/p/plan.json"], []),
    "parents": (["m/parent/original/model.pt", "m/parent/original/metrics.json"], ["parent"]),
    "sweep": (["m/parent/original/model.pt", "m/p/pruned/model.pt", "m/q/pruned/model.pt"], "pq"),
    "trained": (["m/p/pruned/model.pt", "m/p/compensated/model.pt", "m/q/pruned/model.pt"], "p"),
    "fine-tuned": (
        ["m/p/compensated/model.pt", "m/parent/original/downstream/d/finetuned/model.pt"]
        + [f"m/p/compensated/downstream/d/{start}/model.pt" for start in ("finetuned", "scratch")],
        "p",
    ),
}


@pytest.mark.parametrize(("outputs", "plans"), RUNS.values(), ids=RUNS)
def test_a_run_is_about_the_models_that_came_furthest(outputs, plans):
    folders = final_folders(f"results/s/{path}" for path in outputs)
    assert [folder.plan for folder in folders] == list(plans)
    if outputs == RUNS["fine-tuned"][0]:
        assert [f.path for f in folders] == [
            Path("results/s/m/p/compensated/downstream/d/finetuned")
        ]


def test_many_models_are_told_by_their_paths_alone(study_dir, tmp_path):
    outputs = []
    shutil.copytree(study_dir / "sevennet-0/parent", tmp_path / "m/parent")
    for i in range(MOST_TOLD + 2):
        folder = tmp_path / f"m/taylor-{i}/recovered"
        shutil.copytree(study_dir / "sevennet-0/taylor-0.50/recovered", folder)
        (folder / "model.pt").touch()
        outputs.append(folder / "model.pt")
    text = terminal_text([*outputs, tmp_path / "m/lost/recovered/model.pt"])
    assert text.startswith(f"Made {MOST_TOLD + 2} models:")
    assert text.count("atoms.calc = ") == MOST_TOLD
    assert text.endswith(str(outputs[-1]))
    assert terminal_text([tmp_path / "data/a.h5"]) == ""
