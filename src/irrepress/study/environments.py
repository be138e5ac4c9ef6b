"""The Python that the jobs of a family run in, where conda does not choose it.

Families can exclude each other's packages (MACE and SevenNet pin different versions of e3nn), so
that one Python cannot hold them all. ``make setup-FAMILY`` makes the virtual environment
``.venv-FAMILY`` beside ``.venv``. Jobs of a family run in the first of these that has its
packages: the Python of the workflow, ``.venv-FAMILY``, ``.venv``.
"""

import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from irrepress.catalogue.families import missing_packages, needed_packages

# What the workflow tells jobs (scripts/_environment.py): the prefix of its Python, where jobs run
# in conda environments; and family -> Python of another environment as JSON, where they do not.
WORKFLOW_PREFIX, PYTHONS = "IRREPRESS_WORKFLOW_PREFIX", "IRREPRESS_PYTHONS"
# The source tree, where ``make`` puts environments.
ROOT = Path(__file__).resolve().parents[3]
# Prints the first package that a Python lacks. A folder of the same name that is found in the
# working directory is no package, and has no file.
_PROBE = """
import importlib.util, sys
def has(name):
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return False
    return spec is not None and spec.origin is not None
print(next((name for name in sys.argv[1:] if not has(name)), ""))
"""


@dataclass(frozen=True)
class Environments:
    """Where the jobs of some families run.

    Attributes:
        pythons: family -> Python of another environment; families of this Python are left out.
        lacking: family -> why its jobs can run nowhere, in one sentence.
    """

    pythons: dict[str, Path]
    lacking: dict[str, str]


def find_environments(families: Iterable[str], root: Path = ROOT) -> Environments:
    """Find a Python for each of some families.

    Args:
        families: their names, all known.
        root: the directory that holds the environments.
    """
    pythons, lacking = {}, {}
    for family in sorted(set(families)):
        missing = missing_packages(family)
        if not missing:
            continue
        found = f"which this Python ({sys.executable}) lacks"
        for place in (root / f".venv-{family}", root / ".venv"):
            python = place / "bin" / "python"
            if not python.exists() or python.absolute() == Path(sys.executable).absolute():
                continue
            if (lacks := _first_missing(python, needed_packages(family))) is None:
                pythons[family] = python
                break
            if place.name != ".venv":
                found = f"which neither this Python ({sys.executable}) nor {place} has"
                missing = [lacks]
        else:
            lacking[family] = f"the family {family!r} needs the package {missing[0]!r}, {found}"
    return Environments(pythons, lacking)


def _first_missing(python: Path, packages: Sequence[str]) -> str | None:
    """Return the first of some packages that a Python lacks; None if it has them all."""
    command = [str(python), "-c", _PROBE, *packages]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):  # half set up, or moved since
        return packages[0]
    return done.stdout.strip() or None
