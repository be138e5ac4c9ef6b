"""What is checked before any job starts: the config, files, packages; and the workflow's style."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from irrepress.study.environments import find_environments
from irrepress.study.reading import load_config, schema

from .runs import ROOT, TINY, command, environment, without_conda

pytestmark = pytest.mark.workflow


def change(tmp_path: Path, **sections: object) -> Path:
    """Write the tiny config with some sections replaced; ``None`` removes one."""
    content = yaml.safe_load(TINY.read_text()) | sections
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    return path


SEVENNET = {"family": "sevennet", "checkpoint": "7net-0"}


@pytest.mark.parametrize(
    ("sections", "messages"),
    [
        (
            {"sede": 1, "scoring": {"dataset": "foundation", "structures": 0}},
            ["scoring.structures: ", "sede: unknown key; did you mean 'seed'?"],
        ),
        (
            {
                "models": {"mine": SEVENNET | {"checkpoint": "lost.pth"}},
                "downstream": {"datasets": ["mgo"]},
                "datasets": yaml.safe_load(TINY.read_text())["datasets"]
                | {"mgo": {"source": "files", "paths": ["no/such.extxyz"]}},
            },
            [
                "models.mine.checkpoint: there is no file 'lost.pth'",
                "datasets.mgo.paths: there is no file 'no/such.extxyz'",
            ],
        ),
    ],
    ids=["in the config", "in what it names"],
)
def test_every_mistake_ends_the_run_with_one_line_before_anything_is_written(
    snakemake, tmp_path, sections, messages
):
    """Which mistakes are found: tests/study/test_config.py and test_preflight.py."""
    config = change(tmp_path, **sections)
    done = snakemake(tmp_path, config=config)
    assert done.returncode != 0
    lines = done.stderr.strip().splitlines()
    assert len(lines) == len(messages), done.stderr
    for line, message in zip(lines, messages, strict=True):
        assert line.startswith(f"{config.name}: {message}")
    assert not (tmp_path / "results").exists() and not (tmp_path / "logs").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("seed: 1\nseed: 2\n", "config.yaml: the key 'seed' occurs twice (lines "),
        ("train_plans: [off]\n", "config.yaml: train_plans.0: YAML reads off as false; write it"),
    ],
)
def test_what_snakemake_reads_otherwise_than_it_is_written_is_told(
    snakemake, tmp_path, line, message
):
    config = change(tmp_path, seed=None, train_plans=None)
    config.write_text(config.read_text() + line)
    done = snakemake(tmp_path, "--dry-run", config=config)
    assert done.returncode != 0
    (told,) = done.stderr.strip().splitlines()
    assert told.startswith(message)


@pytest.mark.slow
def test_a_checkpoint_may_have_braces_in_its_path(snakemake, tmp_path):
    (tmp_path / "my{model}.pth").write_bytes(b"\x80\x02")
    models = {"mine": SEVENNET | {"checkpoint": "my{model}.pth"}}
    config = change(tmp_path, models=models)
    target = "results/tiny/mine/parent/original/model.pt"
    done = snakemake(tmp_path, target, "--dry-run", config=config)
    assert done.returncode == 0, done.stderr
    assert job_counts(done) == {"parent": 1}


@pytest.mark.slow
def test_a_missing_package_of_a_family_is_told_before_any_job(tmp_path):
    arguments = command(tmp_path, "--dry-run")[3:]
    code = (
        "import importlib.util as u, sys; find = u.find_spec\n"
        "u.find_spec = lambda n, p=None: None if n == 'sevenn' else find(n, p)\n"
        "from snakemake.cli import main; main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment() | without_conda(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    (line,) = done.stderr.strip().splitlines()
    datasets = [f"datasets.{name}.labels" for name in ("foundation", "silicon", "ethanol")]
    assert f"{', '.join(['models.sevennet-0', *datasets])}: the family 'sevennet' needs" in line
    assert "make setup" in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "reason"), [("size=200k", "No space left"), ("ro", "Read-only file system")]
)
def test_a_disk_that_is_full_or_read_only_ends_the_run_with_one_message(
    snakemake, tmp_path, options, reason
):
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(tmp_path)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted by root only")
    try:
        done = snakemake(tmp_path, "--dry-run")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if "results cannot be written" in line]
    assert reason in line and "snakemake --directory" in line
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_default_config_is_used_where_none_is_given():
    """It is a study of MACE: where no Python has MACE, that is what is told."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules"],
        env=environment() | without_conda(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    config = load_config(ROOT / "config" / "config.yaml")
    if find_environments(["mace"]).lacking:
        assert done.returncode != 0
        (line,) = done.stderr.strip().splitlines()
        assert line.startswith("config/config.yaml: ") and "run 'make setup-mace'" in line
        assert all(f"models.{name}" in line for name in config.models)
        return
    assert done.returncode == 0, done.stderr
    downstream = (2 * len(config.train_plans) + 1) * len(config.downstream.datasets)
    assert job_counts(done)["fine_tune"] == downstream


@pytest.mark.slow
def test_the_study_of_sevennet_can_be_planned(snakemake, tmp_path):
    path = ROOT / "config" / "sevennet.yaml"
    done = snakemake(tmp_path, "--dry-run", "--quiet", "rules", config=path)
    assert done.returncode == 0, done.stderr
    config = load_config(path)
    downstream = (2 * len(config.train_plans) + 1) * len(config.downstream.datasets)
    assert job_counts(done)["fine_tune"] == downstream * len(config.models)
    assert job_counts(done)["restrict"] == len(config.downstream.datasets) * len(config.models)


def test_a_config_on_the_command_line_replaces_the_default_and_keys_override_it(
    snakemake, tmp_path
):
    done = snakemake(
        tmp_path, "--dry-run", "--config", "sweep={criteria: [taylor, random]}", "seed=5"
    )
    assert done.returncode == 0, done.stderr
    counts = job_counts(done)
    assert counts["plan"] == 4
    assert counts["generate_dataset"] == 3
    assert "results/tiny/sevennet-0/random-half-l1/plan.json" in done.stdout + done.stderr


@pytest.mark.slow
def test_the_quickstart_has_eight_downstream_tasks(snakemake, tmp_path):
    done = snakemake(tmp_path, "--dry-run", config=ROOT / "config" / "quickstart.yaml")
    assert done.returncode == 0, done.stderr
    counts = job_counts(done)
    assert counts["fine_tune"] == 2 * 8
    assert {"compensate", "distill", "run_dynamics", "run_dynamics_of_task"} <= counts.keys()


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["profiles/local", "slurm"])
def test_profiles_are_accepted(snakemake, tmp_path, profile):
    done = snakemake(tmp_path, "sweep", "--dry-run", "--profile", str(ROOT / profile))
    assert done.returncode == 0, done.stderr
    assert job_counts(done)["prune"] == 2


@pytest.mark.slow
def test_trainings_are_warned_before_their_limit_whatever_the_defaults(snakemake, tmp_path):
    profile = ("--dry-run", "--profile", str(ROOT / "profiles/slurm"))
    targets = [
        f"results/tiny/sevennet-0/taylor-0.50/{s}/model.pt" for s in ("recovered", "distilled")
    ]

    def extras(*arguments: str) -> tuple[dict[str, str], str]:
        done = snakemake(tmp_path, *targets, *profile, *arguments)
        assert done.returncode == 0, done.stderr
        lines = re.findall(r"^ *rule (\w+):$|^ +resources: (.*)$", done.stdout, flags=re.MULTILINE)
        rules = [rule for rule, _ in lines if rule]
        asked = [resources for _, resources in lines if resources]
        assert len(rules) == len(asked) > 0
        extra = [re.search(r"slurm_extra=(.*?), \w+=", text + ", x=") for text in asked]
        return {r: e[1] for r, e in zip(rules, extra, strict=True) if e}, done.stderr

    trainings = ("recover", "distill")
    for arguments, extra in {
        (): "--signal=TERM@120",
        ("--default-resources", "slurm_partition=gpu"): "--signal=TERM@120",
        ("--default-resources", "slurm_extra='--qos=high'"): "--qos=high --signal=TERM@120",
        ("--default-resources", "slurm_extra='--signal=USR1@60'"): "--signal=USR1@60",
    }.items():
        found, told = extras(*arguments)
        assert {rule: found[rule] for rule in trainings} == dict.fromkeys(trainings, extra)
        assert "lacks --signal" not in told
    found, told = extras("--set-resources", "recover:slurm_extra='--qos=high'")
    assert (found["recover"], found["distill"]) == ("--qos=high", "--signal=TERM@120")
    assert "recover:slurm_extra lacks --signal=TERM@120" in told


@pytest.mark.slow
def test_a_target_pulls_only_what_it_needs(snakemake, tmp_path):
    done = snakemake(tmp_path, "--dry-run", "results/tiny/sevennet-0/taylor-0.50/plan.json")
    assert job_counts(done) == {"generate_dataset": 1, "parent": 1, "score": 1, "plan": 1}


@pytest.mark.slow
def test_shapes_are_timed_only_where_budgets_are_counted_in_time(snakemake, tmp_path):
    counts = {}
    asked = {"flops": {"unit": "flops"}, "time": {"unit": "time"}}
    asked["torchscript"] = {"unit": "time", "runtime": "torchscript"}
    for name, sweep in asked.items():
        config = change(tmp_path, sweep={"criteria": ["taylor"], "budgets": [0.5], **sweep})
        counts[name] = job_counts(snakemake(tmp_path, "sweep", "--dry-run", config=config))
    assert "time_shapes" not in counts["flops"]
    assert counts["time"] == {**counts["flops"], "time_shapes": 1} == counts["torchscript"]


@pytest.mark.slow
def test_plans_in_rounds_are_made_with_the_data(snakemake, tmp_path):
    sweep = {
        "criteria": ["taylor"],
        "budgets": [0.5],
        "axes": ["both"],
        "allocations": ["greedy", "uniform", "iterated", "measured"],
    }
    done = snakemake(tmp_path, "sweep", "--dry-run", config=change(tmp_path, sweep=sweep))
    assert done.returncode == 0, done.stderr
    counts = job_counts(done)
    assert (counts["plan"], counts["plan_in_rounds"], counts["prune"]) == (2, 2, 4)


def test_the_schema_is_current():
    written = json.loads((ROOT / "config" / "schema.json").read_text())
    assert written == schema(), "run: make schema"


@pytest.mark.parametrize(
    ("environment_file", "extras", "left_out"),
    [
        # What reads data and writes the report needs neither torch nor a command line.
        ("workflow", ["workflow"], {"torch", "lightning", "pytorch-optimizer", "typer"}),
        ("sevennet", ["sevennet", "validation"], {"irrepress[validation]"}),
        ("escn", ["escn", "validation"], {"irrepress[validation]"}),
        ("mace", ["mace", "validation"], {"irrepress[validation]"}),
    ],
)
def test_environments_agree_with_the_project(environment_file, extras, left_out):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [
        requirement for extra in extras for requirement in project["optional-dependencies"][extra]
    ]
    wanted = {r for r in wanted if r.split(">")[0] not in left_out}
    content = yaml.safe_load((ROOT / "envs" / f"{environment_file}.yaml").read_text())
    *conda, pip = content["dependencies"]
    assert f"python{project['requires-python']}" in conda
    assert set(pip["pip"]) == wanted


def test_every_rule_has_an_environment_a_log_and_a_benchmark():
    rules = {}
    for path in (ROOT / "rules").glob("*.smk"):
        for block in re.split(r"^(?=rule )", path.read_text(), flags=re.MULTILINE)[1:]:
            rules[re.match(r"rule (\w+):", block)[1]] = block
    assert {"recover", "download", "report", "archive"} <= rules.keys()
    for name, block in rules.items():
        for key in ("conda", "log", "benchmark"):
            assert f"\n    {key}:\n" in block, (name, key)


def test_jobs_of_the_workflow_environment_need_no_torch():
    hidden = ["torch", "lightning", "pytorch_optimizer", "typer", "sevenn", "e3nn"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({hidden}))\n"
        "import irrepress.data.convert, irrepress.data.summary.scan\n"
        "import irrepress.report.page, irrepress.catalogue.families"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_script_says_in_one_sentence_which_package_is_missing():
    code = "import sys; sys.modules['pydantic'] = None; import _common"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert "lacks the package 'pydantic'" in line and sys.executable in line


FAULTS = {
    "UserError('a mistake')": "irrepress: a mistake",
    "OutOfReach('no such budget', 'time', 0.1)": "irrepress: no such budget",
    "KeyboardInterrupt()": "irrepress: interrupted",
    "MemoryError()": "irrepress: the memory is full; lower batch_size",
    "torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to')": "(CUDA out of memory); lower",
    "OSError(28, 'No space left on device', 'scores.h5')": "scores.h5: No space left on device;",
    "PermissionError(13, 'Permission denied', 'm.pt')": "m.pt: Permission denied; see to the",
    "ValueError('a fault of ours')": "unexpected ValueError: a fault of ours; the traceback is in",
}


def test_faults_of_the_machine_are_no_faults_of_the_program():
    code = (
        "import sys, torch, _common\n"
        "from irrepress.pruning.budget import OutOfReach, UserError\n"
        f"for fault in [{', '.join(FAULTS)}]: sys.excepthook(type(fault), fault, None)\n"
        "raise fault"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    *lines, raised = done.stderr.splitlines()
    assert raised == lines[-1]
    for line, message in zip(lines, FAULTS.values(), strict=True):
        assert message in line


def job_counts(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Read Snakemake's table of jobs; sums (``all``, ``total``) are left out."""
    rows = re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in rows if rule not in ("all", "total")}
