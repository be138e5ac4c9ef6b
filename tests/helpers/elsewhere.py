"""Python as on a machine where irrepress is not installed, for files that others are to use."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

_WITHOUT_IRREPRESS = """
import sys, warnings
warnings.filterwarnings("ignore")
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "irrepress":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
"""


def run_without_irrepress(code: str, *arguments: str | Path, cwd: Path) -> str:
    """Run code in a new Python that has no irrepress; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", _WITHOUT_IRREPRESS + textwrap.dedent(code), *arguments],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout
