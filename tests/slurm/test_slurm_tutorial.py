"""The tutorial for clusters does what it says."""

import shutil
from pathlib import Path

import pytest
import yaml
from tutorials import ROOT, clone, follow

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.timeout(2400)]

PARTITIONS = Path(__file__).with_name("partitions.yaml")


def test_a_study_on_a_cluster(cluster, tmp_path):
    clone(tmp_path)
    # The reader names the partitions of the cluster; ours also looks more often.
    (tmp_path / "slurm").unlink()
    shutil.copytree(ROOT / "profiles" / "slurm", tmp_path / "slurm")
    profile = tmp_path / "slurm" / "config.v9+.yaml"
    settings = yaml.safe_load(profile.read_text())
    settings |= {
        "slurm-partition-config": str(PARTITIONS),
        "slurm-init-seconds-before-status-checks": 2,
        "latency-wait": 5,
    }
    profile.write_text(yaml.safe_dump(settings))
    follow("cluster.md", tmp_path, **cluster.environment)
    assert list((tmp_path / "results/on-slurm/archives").glob("*.tar.gz"))
    assert list((tmp_path / ".snakemake/slurm_logs").rglob("*.log"))
