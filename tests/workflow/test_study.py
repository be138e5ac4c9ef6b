"""A whole small study through the real Snakefile, and what becomes of it afterwards."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import yaml
from ase.io import write
from samples import copper_frames

from irrepress.core.files import sha256
from irrepress.data.store import StructureStore
from irrepress.evaluation.checks import Checks
from irrepress.evaluation.physics.records import MeasuredDynamics
from irrepress.study.cards import Card
from irrepress.study.reading import load_config
from irrepress.training.lock import locked

from .runs import TINY, environment, kill_with_jobs, start_until

# A busy machine may need several times the two minutes that the study takes on two free cores.
pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.timeout(2400)]

RESULTS = Path("results/tiny")
TRAINED = RESULTS / "sevennet-0" / "taylor-0.50"
TABLES = {
    f"{name}.csv"
    for name in ("sweep", "downstream", "cost", "errors", "data", "suspects", "usage", "dynamics")
}


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def test_every_output_is_there(study):
    results = study / RESULTS
    config = load_config(TINY)
    places = [("parent", "original")]
    places += [("taylor-0.50", stage.name) for stage in config.stages()] + [
        ("taylor-half-l1", "pruned")
    ]
    for plan, stage in places:
        directory = results / "sevennet-0" / plan / stage
        metrics, card = read(directory / "metrics.json"), Card.load(directory / "card.json")
        assert metrics["dataset"] == "foundation" and metrics["split"] == "test"
        assert metrics["labels"] == "sevennet 7net-0_22may2024"
        assert np.isfinite(metrics["errors"]["labels"]["forces_mae"])
        assert metrics["cost"]["parameters"] == card.parameters
        assert card.name == f"sevennet-0/{plan}/{stage}"
        assert metrics["cost"]["code"].startswith("sevenn ")
        checks = Checks.model_validate(metrics["checks"])
        assert checks.failures() == [], (plan, stage)
        assert checks.own.code == metrics["cost"]["code"]
        assert max(checks.own.rotation, checks.faster.rotation) < 1e-10
    assert {path.name for path in (results / "report").iterdir()} == {"index.html", *TABLES}
    for dataset in config.datasets:
        summary = read(results / "data" / f"{dataset}.summary.json")
        assert summary["structures"] == summary["labelled"]["forces"] > 0
    assert not list(study.rglob(".checkpoints"))


def test_dynamics_are_run_with_the_parent_and_the_fine_tuned_model(study):
    tuned = study / TRAINED / "recovered/downstream/silicon/finetuned"
    for folder in (study / RESULTS / "sevennet-0/parent/original", tuned):
        run = MeasuredDynamics.load(folder / "dynamics/silicon.json")
        assert run.failures() == [] and run.steps == 100 and run.code.startswith("sevenn ")


def test_every_job_leaves_a_log_and_a_benchmark(study):
    outputs = [path for path in (study / "results").rglob("*") if path.suffix in (".h5", ".pt")]
    assert outputs
    for directory in {path.parent.relative_to(study / "results") for path in outputs}:
        logs = study / "logs" / directory
        assert list(logs.glob("*.log")) and list(logs.glob("*.benchmark.tsv")), directory


@pytest.fixture(scope="module")
def archived(study, snakemake, tmp_path_factory):
    """A copy of the study with its archives."""
    copy = tmp_path_factory.mktemp("archived") / "copy"
    shutil.copytree(study, copy)
    done = snakemake(copy, "archives")
    assert done.returncode == 0, done.stderr[-4000:]
    return copy


def test_a_second_run_gives_the_same_plan_weights_errors_and_archive(archived, snakemake, tmp_path):
    archive = RESULTS / "archives/sevennet-0_taylor-0.50_recovered.tar.gz"
    done = snakemake(tmp_path, str(archive))
    assert done.returncode == 0, done.stderr[-4000:]
    plan = TRAINED / "plan.json"
    for path in (plan, archive):
        assert (tmp_path / path).read_bytes() == (archived / path).read_bytes()
    cards, metrics = (
        [read(place / TRAINED / "recovered" / name) for place in (archived, tmp_path)]
        for name in ("card.json", "metrics.json")
    )
    assert cards[0]["sha256"] == cards[1]["sha256"]
    assert cards[0]["created"] != cards[1]["created"]
    assert metrics[0]["errors"] == metrics[1]["errors"]


def test_pruned_models_are_smaller_and_untouched_ones_agree_with_the_parent(study):
    parent = read(study / RESULTS / "sevennet-0/parent/original/metrics.json")
    # Batches of other structures round otherwise, in the last digit of float32.
    assert max(parent["errors"]["parent"].values()) < 1e-6
    assert parent["cost"]["parameters"] == 842623
    pruned = read(study / TRAINED / "pruned/metrics.json")
    assert pruned["cost"]["kept_blocks"] < pruned["cost"]["total_blocks"]
    ratio = pruned["cost"]["flops_per_atom"] / parent["cost"]["flops_per_atom"]
    assert 0.3 < ratio <= 0.5
    explicit = Card.load(study / RESULTS / "sevennet-0/taylor-half-l1/pruned/card.json")
    assert explicit.shape["irreps"][1] == "64x0e+32x1e"
    assert explicit.shape["filter_lmax"] == 1


def test_compensation_changes_weights_and_nothing_else(study):
    fits = pd.read_csv(study / TRAINED / "compensated/fits.csv")
    assert (fits["after"] <= fits["before"]).all() and (fits["after"] < fits["before"]).any()
    pruned, compensated = (
        Card.load(study / TRAINED / stage / "card.json") for stage in ("pruned", "compensated")
    )
    assert pruned.shape == compensated.shape
    assert pruned.sha256 != compensated.sha256
    assert read(study / TRAINED / "compensated/metrics.json")["checks"]["own"]["rotation"] < 1e-9


def test_downstream_models_keep_the_elements_of_their_dataset(study):
    parent = Card.load(study / RESULTS / "sevennet-0/parent/original/card.json")
    downstream = study / RESULTS / "sevennet-0/parent/original/downstream/ethanol"
    restricted = Card.load(downstream / "restricted/card.json")
    assert restricted.parameters < parent.parameters
    (record,) = restricted.stages
    assert record["elements"] == ["H", "C", "O"] and record["left_out"] == 86
    errors = read(downstream / "restricted/metrics.json")["errors"]
    assert errors["parent"]["forces_mae"] < 1e-5 < errors["labels"]["forces_mae"]
    tuned = Card.load(downstream / "finetuned/card.json")
    assert tuned.parameters == restricted.parameters
    assert tuned.stages[-1]["restricted"] == record
    table = pd.read_csv(study / RESULTS / "report/downstream.csv").set_index("dataset")
    assert table.loc["ethanol", "parameters restricted parent"] == restricted.parameters


def test_cards_tell_the_whole_history(study):
    names = ["pruned", "compensated", "recovered", "int8"]
    card = Card.load(study / TRAINED / "recovered-int8/card.json")
    assert [stage["stage"] for stage in card.stages] == names
    assert card.stages[1]["structures"] == 6
    assert card.stages[2]["dataset"] == "foundation"
    assert card.parent_sha256.startswith("7052cb42b7b3")
    tuned = study / TRAINED / "recovered/downstream/ethanol"
    stages = Card.load(tuned / "finetuned/card.json").stages
    assert stages[-1]["labels"] == "sevennet 7net-mf-0 (R2SCAN)"
    assert set(stages[-1]["energy_shifts"]) == {"1", "6", "8"}
    # Of all elements the downstream model keeps those of its dataset.
    assert Card.load(tuned / "scratch/card.json").shape == card.shape | {"elements": 3}


def test_the_packed_file_is_small_and_gives_the_same_errors(study):
    exact = read(study / TRAINED / "recovered/metrics.json")
    packed = read(study / TRAINED / "recovered-int8/metrics.json")
    assert packed["cost"]["packed_bytes"] < 0.4 * exact["cost"]["file_bytes"]
    forces = [m["errors"]["parent"]["forces_mae"] for m in (exact, packed)]
    assert forces[1] == pytest.approx(forces[0], rel=0.2)


def test_models_load_where_irrepress_is_not_installed(study):
    stages = ("pruned", "compensated", "recovered", "distilled")
    models = [TRAINED / stage / "model.pt" for stage in stages]
    models += [TRAINED / "recovered-int8/model.pt"]
    code = (
        "import sys; sys.modules['irrepress'] = None\n"
        "from ase.build import bulk\n"
        "from sevenn.calculator import SevenNetCalculator\n"
        "for path in sys.argv[1:]:\n"
        "    atoms = bulk('Si', cubic=True); atoms.rattle(0.05, seed=1)\n"
        "    atoms.calc = SevenNetCalculator(path, device='cpu')\n"
        "    print(atoms.get_potential_energy() / len(atoms), abs(atoms.get_forces()).max())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, models)],
        cwd=study,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    numbers = np.array([line.split() for line in done.stdout.splitlines()], dtype=float)
    assert numbers.shape == (len(models), 2)
    assert np.all(np.abs(numbers[:, 0] + 5.4) < 0.3)  # SevenNet-0: -5.42 eV/atom
    assert np.all((numbers[:, 1] > 0.1) & (numbers[:, 1] < 5))


def test_the_end_of_a_run_says_what_was_made(study, snakemake, tmp_path):
    copy = copy_study(study, tmp_path)
    metrics = TRAINED / "recovered/metrics.json"
    (copy / metrics).unlink()
    done = snakemake(copy, str(metrics))
    assert done.returncode == 0, done.stderr[-4000:]
    told = done.stderr[done.stderr.index("Made 1 model:") :].splitlines()
    path = str(TRAINED / "recovered/model.pt")
    assert told[1] == path
    forces = 1e3 * read(copy / metrics)["errors"]["labels"]["forces_mae"]
    assert f"forces {forces:.1f} meV/Å" in told[2] or f"forces {forces:.0f} meV/Å" in told[2]
    assert "the parent's on 8 atoms" in "".join(told) and f"SevenNetCalculator('{path}')" in told[5]


def test_a_second_run_does_nothing(study, snakemake):
    done = snakemake(study)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr


def test_archives_hold_the_trained_models_with_all_that_is_known_of_them(archived):
    found = {path.name: path for path in (archived / RESULTS / "archives").iterdir()}
    stages = ("recovered", "distilled", "recovered-int8")
    assert found.keys() == {f"sevennet-0_taylor-0.50_{stage}.tar.gz" for stage in stages}
    with tarfile.open(found["sevennet-0_taylor-0.50_recovered.tar.gz"]) as archive:
        held = {Path(name).name: archive.extractfile(name).read() for name in archive.getnames()}
    assert held["model.pt"] == (archived / TRAINED / "recovered/model.pt").read_bytes()
    metrics = json.loads(held["metrics.json"])
    measured = read(archived / TRAINED / "recovered/metrics.json")
    assert metrics["errors"] == measured["errors"] and metrics["checks"] == measured["checks"]
    assert metrics["cost"]["parameters"] == measured["cost"]["parameters"]
    assert b"recover" in held["METHODS.md"] and "card.json" in held


def test_a_model_that_was_changed_ends_in_one_message(study, snakemake, tmp_path):
    copy = copy_study(study, tmp_path)
    path = copy / RESULTS / "sevennet-0/parent/original/model.pt"
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    done = snakemake(copy, str(RESULTS / "sevennet-0/taylor-half-l1/pruned/model.pt"))
    assert done.returncode != 0
    (told,) = [line for line in done.stderr.splitlines() if "its SHA-256 is" in line]
    assert told.startswith("rule ") and "parent/original/model.pt" in told and "delete" in told
    assert "Traceback" not in done.stderr


def test_a_changed_setting_runs_only_what_depends_on_it(study, snakemake):
    done = snakemake(study, "--dry-run", "--config", "distillation={learning_rate: 0.002}")
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "rule distill" in output and "rule evaluate" in output and "rule report" in output
    assert not {"recover", "plan", "prune", "score", "fine_tune"} & {
        line.split()[-1].rstrip(":") for line in output.splitlines() if "rule " in line
    }


def test_snakemakes_own_report_holds_the_page_and_the_tables(study, snakemake):
    done = snakemake(study, "--report", "report.html")
    assert done.returncode == 0, done.stderr
    page = (study / "report.html").read_text()
    for name in ("index.html", *TABLES):
        assert name in page


def test_a_budget_of_measured_time_gives_a_plan(study, snakemake, tmp_path):
    """Only the plans are new: data, parent and scores are those of the study."""
    copy = copy_study(study, tmp_path)
    content = yaml.safe_load(TINY.read_text())
    content["sweep"] |= {
        "unit": "time",
        "timed_shapes": 12,
        "budgets": [0.8],
        "criteria": ["taylor"],
    }
    content["sweep"] |= {"allocations": ["greedy", "iterated", "measured"]}
    content["sweep"]["explicit"] = {"short": {"irreps": "16x0e+8x1e", "layers": 3}}
    content["sweep"]["cutoffs"] = [None, 4.6]
    content |= {"train_plans": [], "downstream": None}
    config = tmp_path / "time.yaml"
    config.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    plans = {
        name: TRAINED.parent / name / "plan.json"
        for name in (
            "taylor-0.80",
            "taylor-0.80-4.6A",
            "taylor-0.80-iterated",
            "taylor-0.80-measured",
            "taylor-0.80-measured-4.6A",
        )
    }
    pruned = TRAINED.parent / "taylor-0.80-4.6A/pruned/card.json"
    short = TRAINED.parent / "taylor-short"
    asked = [*plans.values(), pruned, short / "pruned/card.json"]
    timed = TRAINED.parent / "shapes.json"
    done = snakemake(copy, str(timed), config=config)
    assert done.returncode == 0, done.stderr
    table = read(copy / timed)
    assert len(table["shapes"]) == 12
    assert all(shape["seconds"] > 0 for shape in table["shapes"])
    # Times of such small models are mostly those of calls, and noise on a busy machine. Plans are
    # made from times that depend on the shapes alone.
    for shape in table["shapes"]:
        shape["seconds"] = 1e-3 + 1e-9 * shape["flops"]
    (copy / timed).write_text(json.dumps(table))
    done = snakemake(copy, *map(str, asked), config=config)
    assert done.returncode == 0, done.stderr
    assert read(copy / timed) == table
    kept_blocks = {}
    for name, path in plans.items():
        plan = read(copy / path)
        kept_blocks[name] = plan["summary"]["kept_blocks"]
        if "cutoff" not in plan:  # a shorter one may be all that a budget asks for
            assert kept_blocks[name] < sum(g["channels"] for g in plan["groups"].values())
        assert plan["provenance"]["unit"] == "time", name
        assert plan["summary"]["fraction"]["time"] <= 0.8, name
        assert plan.get("cutoff") == (4.6 if name.endswith("4.6A") else None), name
    assert kept_blocks["taylor-0.80"] < kept_blocks["taylor-0.80-4.6A"]
    assert Card.load(copy / pruned).shape["cutoff"] == 4.6
    plan, shape = read(copy / short / "plan.json"), Card.load(copy / asked[-1]).shape
    assert plan["layers"] == plan["summary"]["layers"] == [0, 2, 4] and shape["layers"] == 3
    assert plan["summary"]["irreps"] == shape["irreps"]


def test_a_plan_edited_by_hand_is_applied(study, snakemake, tmp_path):
    copy = copy_study(study, tmp_path)
    path = copy / TRAINED / "plan.json"
    plan = read(path)
    plan["groups"]["features.5.0e"]["keep"] = "0-15"
    path.write_text(json.dumps(plan))
    done = snakemake(copy, str(TRAINED / "pruned/model.pt"))
    assert done.returncode == 0, done.stderr
    before, after = (
        Card.load(root / TRAINED / "pruned/card.json").shape["irreps"] for root in (study, copy)
    )
    assert after[-1] == "16x0e" != before[-1] and after[:-1] == before[:-1]
    edited = read(path)
    assert edited["summary"]["irreps"] == after != plan["summary"]["irreps"]
    assert edited["groups"] == plan["groups"]
    (stage,) = Card.load(copy / TRAINED / "pruned/card.json").stages
    assert stage["plan_sha256"] == sha256(path)
    (edit,) = stage["edited"]
    assert edit.startswith("features.5.0e keeps 16 of 128 instead of ")
    log = copy / "logs/tiny/sevennet-0/taylor-0.50/pruned/model.log"
    assert f"was edited by hand since it was made: {edit}" in log.read_text()
    # The summary was written anew, yet nothing that was made of the plan is out of date.
    again = snakemake(copy, str(TRAINED / "pruned/model.pt"), "--dry-run")
    assert "Nothing to be done" in again.stdout + again.stderr


def test_a_plan_spoilt_by_hand_ends_in_one_message(study, snakemake, tmp_path):
    copy = copy_study(study, tmp_path)
    path = copy / TRAINED / "plan.json"
    path.write_text(path.read_text().replace("messages.0.0e", "messages.0.0a"))
    done = snakemake(copy, str(TRAINED / "pruned/model.pt"))
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if "messages.0.0a" in line]
    assert told and told[0].startswith("rule prune: ") and "did you mean" in told[0]
    assert "Traceback" not in done.stderr
    log = copy / "logs/tiny/sevennet-0/taylor-0.50/pruned/model.log"
    assert log.read_text().strip().endswith(told[0])


def test_training_goes_on_after_everything_was_killed(study, snakemake, tmp_path):
    copy = copy_study(study, tmp_path)
    longer = ("--config", "recovery={steps: 40, validate_every: 2}")
    target = str(TRAINED / "recovered/model.pt")
    checkpoints = copy / TRAINED / "recovered/.checkpoints"
    running = start_until(checkpoints / "last.ckpt", copy, target, *longer)
    kill_with_jobs(running)
    assert not (copy / target).exists()

    locked = snakemake(copy, target, *longer)
    assert locked.returncode != 0 and "--unlock" in locked.stderr
    assert snakemake(copy, "--unlock").returncode == 0
    done = snakemake(copy, target, "--rerun-incomplete", *longer)
    assert done.returncode == 0, done.stderr
    log = (copy / "logs/tiny/sevennet-0/taylor-0.50/recovered/model.log").read_text()
    assert "resuming training from step" in log
    assert Card.load(copy / TRAINED / "recovered/card.json").stages[-1]["steps"] == 40
    assert not checkpoints.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGINT])
def test_a_signal_to_snakemake_alone(study, snakemake, tmp_path, number):
    """Its training saves itself and ends, or is finished and counted; nothing runs on beside."""
    copy = copy_study(study, tmp_path)
    steps = 20 if number == signal.SIGINT else 2000
    longer = ("--config", f"recovery={{steps: {steps}, validate_every: 2}}")
    target = str(TRAINED / "recovered/model.pt")
    checkpoints = copy / TRAINED / "recovered/.checkpoints"
    running = start_until(checkpoints / "last.ckpt", copy, target, *longer)
    job = psutil.Process(json.loads((checkpoints / "lock").read_text())["process"])
    running.send_signal(number)
    running.wait(timeout=300)
    job.wait(timeout=300)
    log = (copy / "logs/tiny/sevennet-0/taylor-0.50/recovered/model.log").read_text()
    if number == signal.SIGINT:
        again = snakemake(copy, target, "--dry-run", *longer)
        assert "Nothing to be done" in again.stdout + again.stderr
        return
    assert "stopped by SIGTERM" in log
    assert (checkpoints / "recent.ckpt").exists() and not (copy / target).exists()


def test_a_training_beside_another_is_refused(study, snakemake, tmp_path):
    """As after --unlock, while a job of the run before is still there."""
    copy = copy_study(study, tmp_path)
    recovered = copy / TRAINED / "recovered"
    (recovered / "model.pt").unlink()
    with locked(recovered / ".checkpoints"):
        done = snakemake(copy, str(TRAINED / "recovered/model.pt"))
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if "has been training here since" in line]
    assert told and told[0].startswith("rule recover: ")
    assert f"process {os.getpid()} on " in told[0] and "Traceback" not in done.stderr


def test_a_dataset_of_the_users_own_files(snakemake, tmp_path):
    frames = copper_frames(12, rattle=0.08)
    write(tmp_path / "train.extxyz", frames[:8])
    write(tmp_path / "test.extxyz", frames[8:])
    content = yaml.safe_load(TINY.read_text())
    files = {
        "source": "files",
        "paths": ["train.extxyz"],
        "test_paths": ["test.extxyz"],
        "level_of_theory": "EMT",
        "split": {"train": 0.75, "valid": 0.25, "test": 0.0},
    }
    content |= {"name": "mine", "datasets": {"mine": files}, "train_plans": []}
    content["scoring"]["dataset"] = content["evaluation"]["dataset"] = "mine"
    del content["evaluation"]["dynamics"]
    for section in ("compensation", "recovery", "distillation", "quantization", "downstream"):
        del content[section]
    config = tmp_path / "mine.yaml"
    config.write_text(yaml.safe_dump(content))

    target = "results/mine/sevennet-0/taylor-0.50/plan.json"
    done = snakemake(tmp_path, target, config=config)
    assert done.returncode == 0, done.stderr
    store = StructureStore(tmp_path / "results/mine/data/mine.h5")
    assert store.info.labels == "EMT"
    assert store.splits["test"].tolist() == [8, 9, 10, 11]
    np.testing.assert_allclose(store[8].forces, frames[8].get_forces(), atol=1e-7)
    assert not (tmp_path / "results/mine/sevennet-0/taylor-0.50/pruned").exists()

    frames[3].calc.results["forces"][2, 1] = np.nan
    write(tmp_path / "train.extxyz", frames[:8])
    done = snakemake(tmp_path, target, config=config)
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if "train.extxyz: frame 3" in line]
    assert told and told[0].startswith("rule read_dataset: ")
    assert "Traceback" not in done.stderr


def copy_study(study: Path, tmp_path: Path) -> Path:
    """A copy of a finished study that Snakemake takes for its own: times are kept."""
    copy = tmp_path / "copy"
    shutil.copytree(study, copy)
    return copy
