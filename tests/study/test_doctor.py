"""What is looked at on a machine, and when something that is needed is missing."""

import importlib.metadata
import shutil

import pytest

from irrepress.core.errors import UserError
from irrepress.study import doctor
from irrepress.study.doctor import examine_machine, wrong_packages
from irrepress.study.environments import Environments

EXTRA = 'a-package>=2; extra == "mace"'


@pytest.fixture
def requires(monkeypatch):
    """Set what irrepress requires, and which packages are there."""

    def set_(lines, versions):
        monkeypatch.setattr(importlib.metadata, "requires", lambda name: lines)
        monkeypatch.setattr(doctor, "version_of", versions.get)

    return set_


@pytest.fixture
def families(monkeypatch):
    """Set the families that this Python lacks, and those that others have."""

    def set_(lacking=(), elsewhere=None):
        found = Environments(elsewhere or {}, dict.fromkeys(lacking, "because"))
        monkeypatch.setattr(doctor, "find_environments", lambda names: found)
        gone = {*lacking, *(elsewhere or {})}
        monkeypatch.setattr(doctor, "missing_packages", lambda name: [name] * (name in gone))

    return set_


def check(name):
    return next(each for each in examine_machine() if each.name == name)


def test_every_check_that_is_not_ok_has_a_mend():
    checks = list(examine_machine())
    assert {"Python", "irrepress", "packages", "e3nn", "CPU", "GPU", "conda", "disk"} <= {
        each.name for each in checks
    }
    assert [each.name for each in checks if each.state != "ok" and not each.mend] == []


def test_packages_that_are_absent_or_too_old_are_told(requires):
    lines = ["numpy>=2", "ase>=3.26", "h5py>=3", EXTRA, 'dataclasses; python_version < "3"']
    requires(lines, {"numpy": "1.26", "ase": "3.27"})
    assert list(wrong_packages("")) == ["numpy 1.26, not >=2", "no h5py"]
    assert list(wrong_packages("mace")) == ["no a-package"]
    assert list(wrong_packages("escn")) == []
    found = check("packages")
    assert found.is_needed and found.mend == "pip install 'irrepress'"


def test_one_family_is_enough(families, requires, tmp_path):
    requires([], {})
    families(lacking=["escn"], elsewhere={"mace": tmp_path / "python"})
    assert not check("family escn").is_needed
    assert check("family escn").state == "could be"
    assert check("family mace").found == f"jobs run in {tmp_path / 'python'}"
    assert check("family sevennet").state == "ok"
    families(lacking=["escn", "mace", "sevennet"])
    assert check("family escn").is_needed and "setup" in check("family mace").mend


def test_a_family_with_another_version_than_it_needs_is_told(families, requires):
    families(lacking=["escn", "sevennet"])
    requires([EXTRA], {"a-package": "1.0"})
    assert check("family mace").found == "a-package 1.0, not >=2"


def test_two_families_that_exclude_each_other_in_one_python(families):
    families(lacking=["escn"])
    found = check("e3nn")
    assert found.is_needed and "mace and sevennet" in found.found
    families(lacking=["mace"])
    assert check("e3nn").state == "ok"


def test_a_cluster_is_told_by_its_partitions(monkeypatch):
    paths = {"sbatch": "/usr/bin/sbatch"}
    monkeypatch.setattr(shutil, "which", paths.get)
    monkeypatch.setattr(doctor, "partitions", lambda: ["cpu", "gpu"])
    assert check("SLURM").found == "partitions cpu, gpu"

    def fails():
        raise UserError("sinfo does not respond")

    monkeypatch.setattr(doctor, "partitions", fails)
    assert check("SLURM").state == "could be"
    paths.clear()
    assert "no sbatch" in check("SLURM").found
    assert check("conda").state == "could be"


def test_little_disk_is_told(monkeypatch):
    usage = shutil._ntuple_diskusage(10**12, 10**12, 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert check("disk").state == "could be"
