"""The environment of a family: what pip is told to put into it, and what may fail."""

import importlib.metadata
import json
import subprocess
from types import SimpleNamespace

import pytest

from irrepress import __version__
from irrepress.core.errors import UserError
from irrepress.study import installation
from irrepress.study.environments import find_environments
from irrepress.study.installation import make_environment, requirements_of, torch_first
from irrepress.study.workflow_files import source_tree


@pytest.fixture
def pip(monkeypatch):
    """Let pip install nothing; return its calls."""
    calls = []

    def call(command):
        calls.append(command)
        return 0

    monkeypatch.setattr(subprocess, "call", call)
    return calls


def test_of_a_source_tree_it_is_that_tree_that_is_installed():
    assert requirements_of("mace") == ["-e", f"{source_tree()}[mace]"]


@pytest.mark.parametrize("origin", ["file:///home/me/irrepress-0.1.0-py3-none-any.whl", None])
def test_of_a_wheel_it_is_the_same_wheel(monkeypatch, origin):
    record = None if origin is None else json.dumps({"url": origin, "archive_info": {}})
    installed = SimpleNamespace(read_text=lambda name: record)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: installed)
    monkeypatch.setattr(installation, "source_tree", lambda: None)
    where = f"=={__version__}" if origin is None else f" @ {origin}"
    assert requirements_of("mace") == [f"irrepress[mace]{where}"]


def test_both_environments_have_one_torch(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.13.0+cu130")
    assert torch_first() == ["torch==2.13.0"]


def test_torch_is_installed_before_the_family(pip, monkeypatch, tmp_path):
    monkeypatch.setattr(installation, "first_missing", lambda python, packages: None)
    python = make_environment("mace", tmp_path, ["--quiet"])
    assert python == tmp_path / ".venv-mace" / "bin" / "python" and python.exists()
    first, second = pip
    assert first[:5] == [str(python), "-m", "pip", "install", "--quiet"]
    assert first[5:] == torch_first() and second[5:] == requirements_of("mace")


def test_what_pip_could_not_install_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(subprocess, "call", lambda command: 1)
    with pytest.raises(UserError, match="pip could not install torch"):
        make_environment("mace", tmp_path)


def test_an_environment_that_still_lacks_the_family_is_told(pip, tmp_path):
    with pytest.raises(UserError, match="still lacks 'mace'"):
        make_environment("mace", tmp_path)
    assert find_environments(["mace"], [tmp_path]).pythons == {}


def test_an_unknown_family_and_a_place_that_cannot_be_written_to_are_told(pip, tmp_path):
    with pytest.raises(UserError, match="unknown family 'mase'; did you mean 'mace'"):
        make_environment("mase", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="choose another folder with --into"):
        make_environment("mace", tmp_path / "file")
    assert pip == []
