"""Jobs import the library that their workflow belongs to, and nothing else that lies beside it."""

import shutil
import subprocess
import sys
from pathlib import Path

from .runs import ROOT

CODE = """
import importlib.util, sys
sys.path.insert(0, sys.argv[1])
import _library, irrepress
print(irrepress.__file__)
print(importlib.util.find_spec("neighbour"), _library.set_up("mace"))
"""


def make_package(place: Path) -> Path:
    place.mkdir(parents=True)
    (place / "__init__.py").touch()
    return place


def imported(workflow: Path, other: Path) -> list[str]:
    """What a job imports, where irrepress is installed in another place as well."""
    make_package(other / "irrepress")
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(workflow / "scripts")],
        env={"PYTHONPATH": str(other)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def copy_of_the_finder(workflow: Path) -> None:
    (workflow / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "_library.py", workflow / "scripts")


def test_of_a_source_tree(tmp_path):
    package = make_package(tmp_path / "tree" / "src" / "irrepress")
    copy_of_the_finder(tmp_path / "tree")
    found, told = imported(tmp_path / "tree", tmp_path / "other")
    assert found == str(package / "__init__.py")
    assert told == "None make setup-mace"


def test_of_an_installed_package(tmp_path):
    package = make_package(tmp_path / "site-packages" / "irrepress")
    make_package(tmp_path / "site-packages" / "neighbour")
    copy_of_the_finder(package / "workflow")
    found, told = imported(package / "workflow", tmp_path / "other")
    assert found == str(package / "__init__.py")
    assert told == "None irrepress setup mace"
