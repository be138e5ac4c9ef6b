"""Jobs run in the environment of their family and nowhere else; conda is a stand-in here."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ase.io import write
from samples import copper_frames

from irrepress.catalogue.families import missing_packages
from irrepress.data.store import StructureStore

from .runs import ROOT, TINY, command, environment, without_conda
from .standin_conda import put_on_path

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.timeout(1800)]

STORE = "results/mine/data/mine.h5"
MACE_PYTHON = ROOT / ".venv-mace/bin/python"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A directory with frames and the config of a study of them, which needs no family."""
    write(tmp_path / "frames.extxyz", copper_frames(8))
    content = yaml.safe_load(TINY.read_text())
    content |= {"name": "mine", "train_plans": []}
    content["datasets"] = {"mine": {"source": "files", "paths": ["frames.extxyz"]}}
    content["scoring"]["dataset"] = content["evaluation"]["dataset"] = "mine"
    del content["evaluation"]["dynamics"]
    for section in ("compensation", "recovery", "distillation", "quantization", "downstream"):
        del content[section]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    return tmp_path


def run(study: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(study, STORE, *arguments, config=study / "mine.yaml"),
        env=environment() | variables,
        cwd=study,
        capture_output=True,
        text=True,
        timeout=900,
    )


def told(done: subprocess.CompletedProcess[str], text: str) -> str:
    """The line that holds a text, after checking that no traceback is told, too."""
    assert done.returncode != 0
    output = done.stdout + done.stderr
    assert "Traceback" not in output
    lines = [line for line in output.splitlines() if text in line]
    assert lines, output[-4000:]
    return lines[0]


def test_a_job_runs_in_its_own_environment(study, tmp_path_factory):
    path = put_on_path(tmp_path_factory.mktemp("conda"))
    done = run(study, "--sdm", "conda", **path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (python,) = (study / ".snakemake/conda").glob("*/bin/python")
    code = (
        "import sys, importlib.util as u; import ase, h5py, pydantic;"
        "print(sys.prefix, u.find_spec('torch'))"
    )
    seen = subprocess.run([python, "-c", code], capture_output=True, text=True)
    assert seen.stdout.split() == [str(python.parents[1]), "None"], seen.stderr
    assert (study / STORE).exists()


def test_without_conda_the_run_ends_in_one_sentence(study):
    line = told(run(study, "--sdm", "conda", **without_conda()), "there is no conda on PATH")
    assert line.startswith("--sdm conda: ")


def test_an_environment_that_cannot_be_made_ends_the_run(study, tmp_path_factory):
    path = put_on_path(tmp_path_factory.mktemp("conda"))
    reason = "PackagesNotFoundError: no such package"
    done = run(study, "--sdm", "conda", STANDIN_CONDA_FAILS=reason, **path)
    told(done, reason)
    told(done, "envs/workflow.yaml")
    assert not (study / STORE).exists()


def test_a_job_that_lands_in_snakemakes_python_refuses_to_work(study, tmp_path_factory):
    path = put_on_path(tmp_path_factory.mktemp("conda"))
    bin_ = Path(path["STANDIN_CONDA"], "bin")
    (bin_ / "activate").write_text("true\n")  # activates nothing
    (bin_ / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (bin_ / "python").chmod(0o755)
    line = told(run(study, "--sdm", "conda", **path), "conda environment of its own")
    assert line.startswith("rule read_dataset: ") and sys.executable in line


def test_a_python_with_other_versions_refuses_to_work(study):
    code = (
        "import importlib.metadata as m, runpy, sys; version = m.version;"
        "m.version = lambda name: '1.0.0' if name == 'h5py' else version(name);"
        f"sys.path.insert(0, {str(ROOT / 'scripts')!r});"
        "from _environment import misfit; print(misfit('workflow'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    (line,) = done.stdout.strip().splitlines()
    assert "is not the environment envs/workflow.yaml: it has h5py 1.0.0" in line


# The smallest study of two families that exclude each other's packages.
TWO_FAMILIES = {
    "name": "two",
    "device": "cpu",
    "models": {
        "big": {"family": "sevennet", "checkpoint": "7net-0"},
        "small": {
            "family": "mace",
            "untrained": {"hidden_irreps": "16x0e", "max_ell": 1, "r_max": 3.5},
            "training": {"dataset": "made", "steps": 1, "batch_size": 2},
        },
    },
    "datasets": {
        "made": {
            "source": "generated",
            "systems": ["silicon"],
            "count": 4,
            "labels": {"family": "sevennet", "checkpoint": "7net-0_22may2024"},
            "split": {"train": 0.5, "valid": 0.25, "test": 0.25, "by": "structure"},
        }
    },
    "scoring": {"dataset": "made", "structures": 1},
    "sweep": {"criteria": ["magnitude"], "budgets": [0.5], "multiple": 8},
    "evaluation": {"dataset": "made", "timing_atoms": 2, "timing_repeats": 1},
}
SMALL = "results/two/small/parent/original/card.json"


@pytest.fixture
def two_families(tmp_path):
    """The directory and the config of that study."""
    pytest.importorskip("sevenn", reason="SevenNet is not installed in this environment")
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(TWO_FAMILIES))
    return tmp_path


def snakemake(directory: Path, *arguments: str, **variables: str):
    return subprocess.run(
        command(directory, *arguments, config=directory / "two.yaml"),
        env=environment() | variables,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=900,
    )


@pytest.mark.skipif(not MACE_PYTHON.exists(), reason="there is no .venv-mace; run make setup-mace")
def test_two_families_run_side_by_side_without_conda(two_families, tmp_path_factory):
    """SevenNet labels what MACE is trained on, and neither sees the other's packages."""
    done = snakemake(two_families, SMALL, **without_conda())
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"jobs of the family mace run in {MACE_PYTHON}" in done.stderr
    store = StructureStore(two_families / "results/two/data/made.h5")
    assert store.info.labels == "sevennet 7net-0_22may2024"
    versions = json.loads((two_families / SMALL).read_text())["versions"]
    assert "mace-torch" in versions and "sevenn" not in versions
    assert versions["e3nn"] == "0.4.4"

    # Conda makes nothing anew.
    path = put_on_path(tmp_path_factory.mktemp("conda"))
    again = snakemake(two_families, SMALL, "--dry-run", "--sdm", "conda", **path)
    assert "Nothing to be done" in again.stdout + again.stderr, again.stderr[-4000:]


@pytest.mark.skipif(not MACE_PYTHON.exists(), reason="there is no .venv-mace; run make setup-mace")
def test_a_mistake_in_the_familys_python_is_told_as_any_other(two_families):
    """What the user can cause ends in one line there, too, and in the rule's log."""
    content = yaml.safe_load((two_families / "two.yaml").read_text())
    content["models"]["small"]["untrained"]["hidden_irreps"] = "16y0e"
    (two_families / "two.yaml").write_text(yaml.safe_dump(content))
    target = "results/two/small/parent/untrained/model.pt"
    done = snakemake(two_families, target, **without_conda())
    line = told(done, "16y0e")
    assert line.startswith("rule untrained: ")
    assert line in (two_families / "logs/two/small/parent/untrained/model.log").read_text()


def dry_run_elsewhere(two_families: Path, *arguments: str, **variables: str):
    """Run a copy of the workflow, beside which make has set up nothing."""
    tree = two_families / "tree"
    tree.mkdir()
    shutil.copy(ROOT / "Snakefile", tree)
    for name in ("rules", "scripts", "envs", "src", "report"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    words = command(two_families, "--dry-run", *arguments, config=two_families / "two.yaml")
    words[words.index("--snakefile") + 1] = str(tree / "Snakefile")
    return subprocess.run(
        words,
        env=environment() | {"PYTHONPATH": str(tree / "src")} | variables,
        cwd=two_families,
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.mark.skipif(not missing_packages("mace"), reason="MACE is installed beside SevenNet")
def test_a_family_that_no_python_has_runs_in_conda_or_ends_in_one_message(
    two_families, tmp_path_factory
):
    done = dry_run_elsewhere(two_families, **without_conda())
    assert done.returncode != 0
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("two.yaml: models.small: the family 'mace' needs the package 'mace'")
    assert "make setup-mace" in line and "--sdm conda" in line


@pytest.mark.skipif(not missing_packages("mace"), reason="MACE is installed beside SevenNet")
def test_conda_is_used_where_it_is_and_nothing_else_is(two_families, tmp_path_factory):
    path = put_on_path(tmp_path_factory.mktemp("conda"))
    done = dry_run_elsewhere(two_families, **path)
    assert done.returncode == 0, done.stderr
    assert "no Python here has mace: jobs run in conda environments" in done.stderr
    assert "envs/mace.yaml will be created" in done.stdout + done.stderr


@pytest.mark.parametrize("conda", [True, False])
def test_the_profile_of_clusters_asks_for_conda_where_it_is(study, tmp_path_factory, conda):
    path = put_on_path(tmp_path_factory.mktemp("conda")) if conda else without_conda()
    done = run(study, "--dry-run", "--profile", str(ROOT / "profiles/slurm"), **path)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert ("envs/workflow.yaml will be created" in output) == conda
    assert (
        "there is no conda on PATH: jobs run in the environments that are set up" in output
    ) != conda
