"""The choice of the Python environment for the jobs of a family, without conda.

Families can exclude each other's packages (MACE and SevenNet pin different versions of e3nn), so
that one Python cannot hold them all. ``irrepress setup FAMILY`` makes the virtual environment
``.venv-FAMILY``, as ``make setup-FAMILY`` does in a source tree. Jobs of a family run in the first
of these that has its packages: the Python of the workflow, ``.venv-FAMILY``, ``.venv``; the latter
in one of the `places` where environments lie.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from irrepress.catalogue.families import missing_packages, needed_packages
from irrepress.study.workflow_files import source_tree

# Environment variables for jobs (scripts/_environment.py): the prefix of the workflow's Python if
# jobs run in conda environments, otherwise family -> Python of another environment, as JSON.
WORKFLOW_PREFIX, PYTHONS = "IRREPRESS_WORKFLOW_PREFIX", "IRREPRESS_PYTHONS"
# Folders that hold environments, joined as in PATH.
PLACES = "IRREPRESS_ENVIRONMENTS"
# Prints the first package that a Python lacks. A folder of the same name in the working directory
# is not a package and has no file.
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
    """The environments in which jobs of families run.

    Attributes:
        pythons: family -> Python of another environment; families that run in this Python are
            omitted.
        lacking: family -> a sentence on why its jobs cannot run.

    Example:
        >>> found = find_environments(["sevennet"])
        >>> found.lacking
        {}
    """

    pythons: dict[str, Path]
    lacking: dict[str, str]


def places() -> list[Path]:
    """Return the folders in which environments are looked for, in order.

    Those of the variable ``IRREPRESS_ENVIRONMENTS``; the top of the source tree, if irrepress runs
    from one, else the folder beside this Python's own environment; and the working directory.
    """
    named = [Path(place) for place in os.environ.get(PLACES, "").split(os.pathsep) if place]
    found = [*named, home(), Path.cwd()]
    return list(dict.fromkeys(place.absolute() for place in found))


def home() -> Path:
    """Return the folder where environments are made.

    The top of the source tree, if irrepress runs from one, else the folder beside the virtual
    environment of this Python; the working directory, if it is in none.
    """
    if (tree := source_tree()) is not None:
        return tree
    return Path(sys.prefix).parent if sys.prefix != sys.base_prefix else Path.cwd()


def set_up_command(family: str) -> str:
    """Return the command that makes the environment of a family."""
    if source_tree() is None:
        return f"irrepress setup {family}"
    return "make setup" if family == "sevennet" else f"make setup-{family}"  # .venv holds it


def find_environments(families: Iterable[str], roots: Sequence[Path] | None = None) -> Environments:
    """Find a Python for each family.

    Args:
        families: names of known families.
        roots: the folders that hold environments; None: `places`.
    """
    roots = places() if roots is None else roots
    pythons, lacking = {}, {}
    for family in sorted(set(families)):
        missing = missing_packages(family)
        if not missing:
            continue
        found = f"which this Python ({sys.executable}) lacks"
        for place in (root / name for name in (f".venv-{family}", ".venv") for root in roots):
            python = place / "bin" / "python"
            if not python.exists() or python.absolute() == Path(sys.executable).absolute():
                continue
            if (lacks := first_missing(python, needed_packages(family))) is None:
                pythons[family] = python
                break
            if place.name != ".venv":
                found = f"which neither this Python ({sys.executable}) nor {place} has"
                missing = [lacks]
        else:
            lacking[family] = f"the family {family!r} needs the package {missing[0]!r}, {found}"
    return Environments(pythons, lacking)


def first_missing(python: Path, packages: Sequence[str]) -> str | None:
    """Return the first package that a Python lacks; None if it has them all."""
    command = [str(python), "-c", _PROBE, *packages]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):  # incomplete or moved
        return packages[0]
    return done.stdout.strip() or None
