"""Making the environment of a family, beside the one that the workflow runs in."""

import importlib.metadata
import json
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

from irrepress import __version__
from irrepress.catalogue.families import needed_packages
from irrepress.core.errors import UserError
from irrepress.study.environments import first_missing
from irrepress.study.workflow_files import source_tree


def make_environment(family: str, root: Path, options: Sequence[str] = ()) -> Path:
    """Make the virtual environment of a family, or complete it; pip prints what it does.

    torch comes first and in the version of this Python, so that both have the same build of it.

    Args:
        family: name of the family.
        root: the folder that is to hold ``.venv-FAMILY``.
        options: further options of ``pip install``.

    Returns:
        Its Python.

    Raises:
        UserError: if there is no such family, the folder is not writable, or pip failed.
    """
    packages = needed_packages(family)
    place = root / f".venv-{family}"
    try:
        venv.create(place, with_pip=True, symlinks=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(
            f"{place}: cannot be made ({error}); choose another folder with --into"
        ) from error
    python = place / "bin" / "python"
    for requirements in (torch_first(), requirements_of(family)):
        if requirements and subprocess.call(pip(python, options, requirements)):
            raise UserError(
                f"{place}: pip could not install {requirements[-1]} (its reason stands above); "
                "see to it, and run this again"
            )
    if (lacks := first_missing(python, packages)) is not None:
        raise UserError(f"{place}: still lacks {lacks!r}; remove the folder, and run this again")
    return python


def pip(python: Path, options: Sequence[str], requirements: Sequence[str]) -> list[str]:
    """Return the command that installs packages into the environment of a Python."""
    return [str(python), "-m", "pip", "install", *options, *requirements]


def torch_first() -> list[str]:
    """Return torch in the version of this Python, as pip is told it; nothing if it has none."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return []
    return [f"torch=={version.partition('+')[0]}"]


def requirements_of(family: str) -> list[str]:
    """Return irrepress with a family's packages, as pip is told it: from where this one came."""
    if (tree := source_tree()) is not None:
        return ["-e", f"{tree}[{family}]"]
    if (origin := _origin()) is not None:
        return [f"irrepress[{family}] @ {origin}"]
    return [f"irrepress[{family}]=={__version__}"]


def _origin() -> str | None:
    """Return the address of the wheel that irrepress was installed from; None for an index."""
    record = importlib.metadata.distribution("irrepress").read_text("direct_url.json")
    return None if record is None else str(json.loads(record)["url"])
