"""The tutorials of the documentation, run as a reader runs them."""

import contextlib
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = ROOT / "docs" / "tutorials"
# What a clone holds that the commands of a tutorial name.
_CLONE = ("Snakefile", "config", "envs", "rules", "scripts", "slurm", "src", "report")
_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)"
    r"^(?P=indent)```\n(?P<skipped>\n<!-- not run: [^>]+ -->)?",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A block of a page that is run, or a file that the reader writes.

    Attributes:
        language: ``sh``, ``python`` or ``yaml``.
        title: name of the file; None for what is run.
        text: its text.
    """

    language: str
    title: str | None
    text: str


def blocks(page: str) -> list[Block]:
    """Return what a reader of a tutorial writes and runs, in order.

    Fragments of a config, which have no title, are for reading only.
    """
    text = (TUTORIALS / page).read_text(encoding="utf-8")
    found = [
        Block(match["language"], match["title"], textwrap.dedent(match["text"]))
        for match in _BLOCK.finditer(text)
        if not match["skipped"]
    ]
    return [block for block in found if block.title or block.language in ("sh", "python")]


def clone(directory: Path) -> None:
    """Make a directory look like a clone whose environments have been set up."""
    environments = [path.name for path in ROOT.glob(".venv*")]
    for name in (*_CLONE, *environments):
        (directory / name).symlink_to(ROOT / name)


def follow(page: str, directory: Path, **environment: str) -> None:
    """Do what a tutorial says, in a directory; fail with the output of what failed.

    Python is run in this process, block after block, as a reader does in one session.
    """
    session: dict[str, object] = {"__name__": "__main__"}
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SNAKEMAKE_", "SLURM_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    variables = kept | {"OMP_NUM_THREADS": "1"} | environment | {"PATH": path}
    for block in blocks(page):
        if block.title is not None:
            (directory / block.title).write_text(block.text, encoding="utf-8")
            continue
        if block.language == "python":
            with contextlib.chdir(directory):
                exec(compile(block.text, page, "exec"), session)
            continue
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.text],
            cwd=directory,
            env=variables,
            capture_output=True,
            text=True,
            timeout=1500,
        )
        said = f"{block.text}\n{done.stdout[-4000:]}\n{done.stderr[-8000:]}"
        assert done.returncode == 0, f"{page}: this failed\n{said}"
