"""The environment that a job was meant for: entered, and checked before the job works.

The versions of all packages that ``envs/*.yaml`` lists must fit, in whatever Python the job
runs. In a conda environment, or in one that was set up for a family, a job sees only the
packages of that Python: Snakemake appends those of its own to the path of every script.
"""

import importlib.metadata
import json
import os
import sys
from pathlib import Path
from typing import Any

from _library import WORKFLOW, set_up

ENVIRONMENTS = WORKFLOW / "envs"
# The prefix of Snakemake's Python, set by the workflow where jobs run in conda environments.
WORKFLOW_PREFIX = "IRREPRESS_WORKFLOW_PREFIX"
# Family -> Python of an environment that was set up for it, as JSON; set by the workflow where jobs
# run in no conda environments and Snakemake's own Python lacks the family.
PYTHONS = "IRREPRESS_PYTHONS"


def environment_of(snakemake: Any) -> str:
    """Return the name of the environment that a job belongs to: a family, or ``workflow``."""
    model = getattr(snakemake.params, "model", None)
    return "workflow" if model is None else model["family"]


def enter_the_familys_python(snakemake: Any) -> None:
    """Go on in the Python of the job's family, in this process; return if that is this one."""
    python = json.loads(os.environ.get(PYTHONS, "{}")).get(environment_of(snakemake))
    if python is None or WORKFLOW_PREFIX in os.environ:  # it has been entered
        return
    os.environ[WORKFLOW_PREFIX] = sys.prefix
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(python, [python, *sys.argv])


def leave_the_workflows_python() -> str | None:
    """Hide the packages of Snakemake's Python from a job of another environment.

    Returns:
        What is wrong, in one sentence; None if the job runs in an environment of its own, or
        if the workflow uses none.
    """
    prefix = os.environ.get(WORKFLOW_PREFIX)
    if prefix is None:
        return None
    if Path(sys.prefix) == Path(prefix):
        return (
            f"the job should run in a conda environment of its own, but runs in Snakemake's "
            f"Python ({sys.executable}); see that 'conda' can be activated in jobs, and that "
            "no start-up file of the shell puts another Python first on PATH"
        )
    sys.path[:] = [path for path in sys.path if not _is_of(path, prefix)]
    return None


def misfit(name: str) -> str | None:
    """Compare this Python with an environment.

    Args:
        name: of the file in ``envs/``, without its suffix.

    Returns:
        The first difference, in one sentence; None if everything fits.
    """
    from packaging.requirements import Requirement

    for line in _requirements(ENVIRONMENTS / f"{name}.yaml"):
        requirement = Requirement(line)
        try:
            found = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            found = None
        if found is None or not requirement.specifier.contains(found, prereleases=True):
            has = f"{requirement.name} {found}" if found else f"no {requirement.name}"
            return (
                f"this Python ({sys.executable}) is not the environment envs/{name}.yaml: it has "
                f"{has}, which has to be {requirement.specifier}; run '{set_up(name)}', or run "
                "snakemake with --sdm conda"
            )
    return None


def _is_of(path: str, prefix: str) -> bool:
    """Whether a folder holds the packages of a Python; its standard library may be shared."""
    folder = Path(path)
    return folder.is_relative_to(prefix) and folder.name in ("site-packages", "dist-packages")


def _requirements(path: Path) -> list[str]:
    """Return the packages of an environment that pip installs."""
    lines = path.read_text(encoding="utf-8").splitlines()
    begin = lines.index("  - pip:") + 1
    return [line.strip().removeprefix("- ") for line in lines[begin:] if line.strip()]
