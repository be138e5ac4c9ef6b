"""Where the jobs of a family run: in this Python, or in one that make has set up beside it."""

import venv
from pathlib import Path

import pytest

from irrepress.study import environments
from irrepress.study.environments import find_environments


@pytest.fixture
def without_mace(monkeypatch):
    """Let this Python have all families but MACE."""
    lacks = {"mace": ["mace"]}
    monkeypatch.setattr(environments, "missing_packages", lambda name: lacks.get(name, []))


def make(root: Path, name: str, *packages: str) -> Path:
    """Make a virtual environment that holds some empty packages; return its Python."""
    venv.create(root / name, symlinks=True)
    (site_packages,) = (root / name).glob("lib/python*/site-packages")
    for package in packages:
        (site_packages / package).mkdir()
        (site_packages / package / "__init__.py").touch()
    return root / name / "bin" / "python"


def test_families_of_this_python_need_no_other(without_mace, tmp_path):
    make(tmp_path, ".venv-sevennet", "sevenn")
    found = find_environments(["sevennet"], [tmp_path])
    assert (found.pythons, found.lacking) == ({}, {})


@pytest.mark.parametrize("name", [".venv-mace", ".venv"])
def test_another_python_that_has_the_family_is_found(without_mace, tmp_path, name):
    python = make(tmp_path, name, "mace")
    assert find_environments(["mace", "sevennet"], [tmp_path]).pythons == {"mace": python}


def test_what_is_half_set_up_is_no_environment(without_mace, tmp_path):
    place = make(tmp_path, ".venv-mace").parents[1]
    found = find_environments(["mace"], [tmp_path])
    assert found.pythons == {}
    assert "needs the package 'mace'" in found.lacking["mace"]
    assert f"nor {place} has" in found.lacking["mace"]
    # Its Python was removed, a folder of the same name lies where the study is.
    (place / "bin" / "python").unlink()
    (tmp_path / "mace").mkdir()
    assert "which this Python" in find_environments(["mace"], [tmp_path]).lacking["mace"]


def test_a_folder_of_the_same_name_is_no_package(without_mace, tmp_path, monkeypatch):
    make(tmp_path, ".venv-mace")
    (tmp_path / "mace").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_environments(["mace"], [tmp_path]).pythons == {}
