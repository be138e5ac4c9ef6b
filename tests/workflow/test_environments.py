"""Jobs run in the environment of their rule and nowhere else; conda is a stand-in here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from .runs import ROOT, TINY, command, environment
from .standin_conda import put_on_path

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.timeout(1800)]

STORE = "results/mine/data/mine.h5"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A directory with frames and the config of a study of them, which needs no family."""
    frames = []
    for seed in range(8):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=seed)
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    write(tmp_path / "frames.extxyz", frames)
    content = yaml.safe_load(TINY.read_text())
    content |= {"name": "mine", "train_plans": []}
    content["datasets"] = {"mine": {"source": "files", "paths": ["frames.extxyz"]}}
    content["scoring"]["dataset"] = content["evaluation"]["dataset"] = "mine"
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
    bare = os.pathsep.join(
        place for place in os.environ["PATH"].split(os.pathsep) if not Path(place, "conda").exists()
    )
    line = told(run(study, "--sdm", "conda", PATH=bare), "there is no conda on PATH")
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
