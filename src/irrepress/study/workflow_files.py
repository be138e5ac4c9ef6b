"""Locations of the workflow's files: Snakefile, rules, scripts, configs and profiles."""

from pathlib import Path

import irrepress
from irrepress.core.errors import UserError


def workflow_folder() -> Path:
    """Return the folder with the Snakefile.

    This is the root of the source tree if irrepress runs from one, otherwise a folder of the
    installed package.

    Raises:
        UserError: if the workflow is in neither place.

    Example:
        >>> (workflow_folder() / "rules" / "prune.smk").exists()
        True
    """
    package = Path(irrepress.__file__).resolve().parent
    places = [package / "workflow", package.parents[1]]
    for place in places:
        if (place / "Snakefile").is_file() and (place / "rules").is_dir():
            return place
    raise UserError(
        f"{package}: irrepress was installed without its workflow; install it again, from a "
        "wheel or from the whole source tree"
    )


def source_tree() -> Path | None:
    """Return the root of the source tree that irrepress runs from; None if it was installed."""
    folder = workflow_folder()
    return folder if (folder / "src" / "irrepress").is_dir() else None
