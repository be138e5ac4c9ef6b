"""The command line of the workflow, and what is read of a run that failed."""

import importlib.util
import os
import signal
import subprocess
import sys

import pytest

from irrepress.core.errors import UserError
from irrepress.study import launch
from irrepress.study.environments import PLACES
from irrepress.study.launch import Launch, profile_path
from irrepress.study.study_folder import StudyFolder
from irrepress.study.workflow_files import workflow_folder


@pytest.fixture
def folder(tmp_path):
    return StudyFolder(tmp_path / "own")


def test_the_shipped_workflow_runs_in_the_folder(folder):
    command = Launch(folder, cores=3, arguments=["sweep", "--forceall"]).command("-q", "rules")
    assert command[:5] == [sys.executable, "-m", "snakemake", "sweep", "--forceall"]
    words = " ".join(command)
    assert f"--snakefile {workflow_folder() / 'Snakefile'} --directory {folder.path} " in words
    assert "--cores 3 -q rules --configfile " in words
    assert command[-1] == str(folder.config_file)
    assert "--cores" not in Launch(folder).command()


def test_shipped_profiles_are_known_by_their_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert profile_path("slurm") == str(workflow_folder() / "profiles" / "slurm")
    assert profile_path("mine") == "mine"  # Snakemake looks where it looks for profiles
    (tmp_path / "slurm").mkdir()
    assert profile_path("slurm") == "slurm"


def test_without_snakemake_one_message_says_what_to_install(folder, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'irrepress\[workflow\]'"):
        Launch(folder).command()


def test_jobs_find_environments_beside_the_callers_folder(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(PLACES, "/opt/environments")
    seen = {}

    def call(command, env):
        seen.update(env)
        return 0

    monkeypatch.setattr(subprocess, "call", call)
    assert Launch(folder).run() == 0
    assert seen[PLACES] == f"/opt/environments{os.pathsep}{tmp_path}"


def test_ctrl_c_is_an_interruption_whatever_snakemake_ends_with(folder, monkeypatch):
    def call(command, env):
        signal.raise_signal(signal.SIGINT)
        return 1

    monkeypatch.setattr(subprocess, "call", call)
    before = signal.getsignal(signal.SIGINT)
    assert Launch(folder).run() == launch.INTERRUPTED
    assert signal.getsignal(signal.SIGINT) is before


LOG = """Error in rule plan:
    jobid: 4
    output: results/own/m/fisher-0.01/plan.json
    log: logs/own/m/fisher-0.01/plan.log (check log file(s) for error details)
"""


def test_the_reason_of_a_failure_is_the_last_line_of_the_jobs_log(folder):
    assert Launch(folder).reason_of_failure() is None
    place = folder.path / ".snakemake/log"
    place.mkdir(parents=True)
    (place / "2026-01-01.snakemake.log").write_text("nothing failed\n")
    (place / "2026-01-02.snakemake.log").write_text(LOG)
    log = folder.path / "logs/own/m/fisher-0.01/plan.log"
    log.parent.mkdir(parents=True)
    log.write_text("looking\nrule plan: budget: 0.01 of the time cannot be met\n")
    assert Launch(folder).reason_of_failure() == "rule plan: budget: 0.01 of the time cannot be met"
