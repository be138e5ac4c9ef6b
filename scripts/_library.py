"""The library that the workflow belongs to is the one that jobs import, in any Python.

It lies in ``src`` of a source tree, or is the package that the workflow was installed in. Nothing
else is imported from there: beside an installed package lie those of one Python, and jobs may run
in others. So environments hold only what the library depends on, and one that holds irrepress of
another version does no harm.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

WORKFLOW = Path(__file__).resolve().parents[1]
IS_SOURCE_TREE = (WORKFLOW / "src").is_dir()


class LibraryFinder:
    """Finds the package irrepress before any other that is installed."""

    place = WORKFLOW / "src" if IS_SOURCE_TREE else WORKFLOW.parents[1]

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the package; its modules are found by it, and other packages as ever."""
        return PathFinder.find_spec(name, [str(cls.place)]) if name == "irrepress" else None


sys.meta_path.insert(0, LibraryFinder)


def set_up(name: str) -> str:
    """Return the command that sets up an environment of ``envs/``."""
    main = name in ("workflow", "sevennet")  # those of one Python
    if IS_SOURCE_TREE:
        return "make setup" if main else f"make setup-{name}"
    return f"pip install 'irrepress[{name}]'" if main else f"irrepress setup {name}"
