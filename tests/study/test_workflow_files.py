"""The workflow is found in a source tree and in an installed package."""

from pathlib import Path

import pytest

import irrepress
from irrepress.core.errors import UserError
from irrepress.study.workflow_files import source_tree, workflow_folder

ROOT = Path(__file__).resolve().parents[2]


def install(monkeypatch, package: Path) -> None:
    """Let irrepress lie in a folder."""
    package.mkdir(parents=True)
    monkeypatch.setattr(irrepress, "__file__", str(package / "__init__.py"))


def add_workflow(folder: Path) -> None:
    (folder / "rules").mkdir(parents=True)
    (folder / "Snakefile").touch()


def test_in_a_source_tree_it_lies_at_the_top():
    assert workflow_folder() == source_tree() == ROOT


def test_in_an_installation_it_lies_in_the_package(monkeypatch, tmp_path):
    package = tmp_path / "lib" / "site-packages" / "irrepress"
    install(monkeypatch, package)
    add_workflow(package / "workflow")
    assert workflow_folder() == package / "workflow"
    assert source_tree() is None


def test_a_package_without_it_is_told(monkeypatch, tmp_path):
    install(monkeypatch, tmp_path / "lib" / "site-packages" / "irrepress")
    (tmp_path / "lib" / "Snakefile").touch()  # of another project
    with pytest.raises(UserError, match="irrepress was installed without its workflow"):
        workflow_folder()
