"""A stand-in for conda, put on PATH by tests: it answers what Snakemake asks of it.

It makes an environment from a file's pip section by linking the packages that this Python has
installed, those listed and what they need, and no others. So it shows whether the environments'
files name all that jobs need, and that jobs run in them. It never tests channels, solving,
downloads, or whether versions exist: no package is fetched.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import yaml
from packaging.requirements import Requirement

ACTIVATE = 'export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n'


def put_on_path(directory: Path) -> dict[str, str]:
    """Write the commands ``conda`` and ``activate``; return PATH for those who are to find them."""
    bin_ = directory / "bin"
    bin_.mkdir(parents=True)
    (bin_ / "conda").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "$@"\n')
    (bin_ / "conda").chmod(0o755)
    (bin_ / "activate").write_text(ACTIVATE)
    return {"PATH": f"{bin_}:{os.environ['PATH']}", "STANDIN_CONDA": str(directory)}


def create(file: Path, prefix: Path) -> None:
    """Make an environment: a Python of its own, and links to packages."""
    *_, pip = yaml.safe_load(file.read_text())["dependencies"]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
    (site,) = prefix.glob("lib/python*/site-packages")
    for distribution in closure(pip["pip"]):
        for path in {entry.parts[0] for entry in distribution.files or [] if entry.parts}:
            target, link = Path(distribution.locate_file(path)), site / path
            if path not in ("..", "__pycache__") and not link.exists():
                link.symlink_to(target)


def closure(requirements: list[str]) -> list[importlib.metadata.Distribution]:
    """Return the installed distributions that some requirements need, directly or not."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = [(Requirement(line), "") for line in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        try:
            distribution = importlib.metadata.distribution(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            continue  # the scripts say what they miss
        for each in ["", *requirement.extras]:
            key = f"{distribution.metadata['Name'].lower()}[{each}]"
            if key not in found:
                found[key] = distribution
                waiting += [(Requirement(line), each) for line in distribution.requires or []]
    return list(found.values())


def main(arguments: list[str]) -> int:
    """Do what a call of conda asks."""
    if arguments[:1] == ["info"]:
        root = os.environ["STANDIN_CONDA"]
        print(json.dumps({"conda_prefix": root, "root_prefix": root, "platform": "linux-64"}))
    elif arguments == ["--version"]:
        print("conda 24.7.1")
    elif arguments[:2] == ["config", "--get"]:
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif arguments[:2] == ["env", "create"]:
        if reason := os.environ.get("STANDIN_CONDA_FAILS"):
            print(reason, file=sys.stderr)
            return 1
        values = dict(pairwise(arguments))
        create(Path(values["--file"]), Path(values["--prefix"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
