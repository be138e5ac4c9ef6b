"""A study that ends in deployments, by the real Snakefile."""

import subprocess
import sys

import pytest

from irrepress.deploy.records import Deployment

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.timeout(1800)]

DEPLOY = {
    "targets": ["torchscript"],
    "stages": ["pruned"],
    "dataset": "cells",
    "structures": 2,
    "largest": 2,
}


def test_a_study_ends_in_a_deployment_that_proves_itself(silicon_study, tmp_path):
    silicon_study("deployed", 0.25, deploy=DEPLOY)
    results = tmp_path / "results/deployed"
    folder = results / "parent/magnitude-0.25/pruned/deploy/torchscript"
    record = Deployment.load(folder / "deployment.json")
    assert record.source == "parent/magnitude-0.25/pruned" and record.golden == ["Si2", "Si2"]
    assert {(time.atoms, time.model) for time in record.times} == {(2, "deployed"), (2, "parent")}
    check = [sys.executable, "check.py", "--device", "cpu"]
    again = subprocess.run(check, cwd=folder, capture_output=True, text=True)
    assert again.returncode == 0 and "2 structures agree" in again.stdout, again.stderr
    assert 'id="deploy"' in (results / "report/index.html").read_text()
