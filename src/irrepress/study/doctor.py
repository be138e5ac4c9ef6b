"""What a machine has of what irrepress needs, and what it could have, each with its mend."""

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from irrepress import __version__
from irrepress.catalogue.families import family_names, missing_packages
from irrepress.core.errors import UserError
from irrepress.study.cluster import partitions
from irrepress.study.environments import find_environments, first_missing, set_up_command
from irrepress.study.workflow_files import source_tree, workflow_folder

State = Literal["ok", "could be", "missing"]
# Packages with fast kernels for GPUs: family -> packages, each with what pip calls it.
KERNELS = {
    "sevennet": {
        "cuequivariance_ops_torch": "sevenn[cueq12]",
        "flashTP_e3nn": "git+https://github.com/SNU-ARC/flashTP",
        "openequivariance": "sevenn[oeq]",
    },
    "mace": {"cuequivariance_ops_torch": "cuequivariance-torch cuequivariance-ops-torch-cu12"},
    "escn": {"triton": "triton", "nvalchemiops": "nvalchemi-toolkit-ops"},
}
# A study of one's own frames takes less of either.
_LEAST_DISK, _LEAST_MEMORY = 5e9, 4e9


@dataclass(frozen=True)
class Check:
    """Something that was looked at.

    Attributes:
        name: what it is.
        state: ``ok``; ``could be``, where something would work that does not; ``missing``, where
            it is needed.
        found: what was found.
        mend: what can be done about it; empty if it is ok.

    Example:
        >>> Check("sbatch", "could be", "not on PATH", "log in to the cluster").is_needed
        False
    """

    name: str
    state: State
    found: str
    mend: str = ""

    @property
    def is_needed(self) -> bool:
        """Whether irrepress cannot work without a mend."""
        return self.state == "missing"


def examine_machine() -> Iterator[Check]:
    """Yield everything that is looked at."""
    yield _python()
    yield from _irrepress()
    yield from _packages("")
    yield from _packages("workflow")
    yield from _families()
    yield _e3nn()
    yield from _devices()
    yield from _kernels()
    yield _conda()
    yield _slurm()
    yield _disk()
    yield from _memory()


def _python() -> Check:
    version = platform.python_version()
    wanted = importlib.metadata.metadata("irrepress")["Requires-Python"]
    found = f"{version} ({sys.executable})"
    if SpecifierSet(wanted or "").contains(version):
        return Check("Python", "ok", found)
    return Check("Python", "missing", found, f"make an environment with Python {wanted}")


def _irrepress() -> Iterator[Check]:
    try:
        place = f"workflow in {workflow_folder()}"
    except UserError as error:
        yield Check("irrepress", "missing", __version__, str(error))
        return
    how = "installed" if source_tree() is None else "from its source tree"
    yield Check("irrepress", "ok", f"{__version__}, {how}; {place}")


def _packages(extra: str) -> Iterator[Check]:
    """Look at what irrepress needs, or one of its extras."""
    wrong = list(wrong_packages(extra))
    name = f"packages of the {extra}" if extra else "packages"
    if not wrong:
        yield Check(name, "ok", "all there")
        return
    what = f"irrepress[{extra}]" if extra else "irrepress"
    yield Check(name, "missing", ", ".join(wrong), f"pip install '{what}'")


def wrong_packages(extra: str) -> Iterator[str]:
    """Yield the packages that irrepress or an extra needs, and that are not here as they should be.

    Args:
        extra: name of the extra; empty for what irrepress itself needs.
    """
    for line in importlib.metadata.requires("irrepress") or ():
        requirement = Requirement(line)
        of_extras = requirement.marker is not None and "extra" in str(requirement.marker)
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
        if of_extras != bool(extra) or not applies:
            continue
        version = version_of(requirement.name)
        if version is None:
            yield f"no {requirement.name}"
        elif not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement.name} {version}, not {requirement.specifier}"


def version_of(package: str) -> str | None:
    """Return the version of a package of this Python; None if it has none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _families() -> Iterator[Check]:
    names = family_names()
    found = find_environments(names)
    for name in names:
        if name in found.pythons:
            yield Check(f"family {name}", "ok", f"jobs run in {found.pythons[name]}")
        elif name in found.lacking:
            state: State = "missing" if len(found.lacking) == len(names) else "could be"
            mend = f"{set_up_command(name)}, or pip install 'irrepress[{name}]'"
            yield Check(f"family {name}", state, "no Python has it", mend)
        elif wrong := list(wrong_packages(name)):
            mend = f"pip install 'irrepress[{name}]'"
            yield Check(f"family {name}", "missing", ", ".join(wrong), mend)
        else:
            yield Check(f"family {name}", "ok", "in this Python")


def _e3nn() -> Check:
    """Look for families in one Python that need different versions of e3nn."""
    version = version_of("e3nn")
    here = [name for name in family_names() if not missing_packages(name)]
    if "mace" not in here or len(here) == 1:
        return Check("e3nn", "ok", version or "none in this Python")
    return Check(
        "e3nn",
        "missing",
        f"{version}; mace needs 0.4.4, which no other family takes, and this Python has "
        f"{' and '.join(here)}",
        f"pip uninstall mace-torch, and {set_up_command('mace')}",
    )


def _devices() -> Iterator[Check]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = torch.get_num_threads()
    limit = os.environ.get("OMP_NUM_THREADS")
    told = f", OMP_NUM_THREADS={limit}" if limit else ""
    yield Check("CPU", "ok", f"{cores} cores, {threads} threads of torch{told}")
    gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    if gpus:
        names = ", ".join(f"{gpu.name} ({gpu.total_memory / 2**30:.0f} GiB)" for gpu in gpus)
        yield Check("GPU", "ok", names)
    elif shutil.which("nvidia-smi") is None:
        yield Check("GPU", "could be", "none; all runs on the CPU", "take a machine that has one")
    else:
        version = torch.__version__
        mend = "pip install a build of torch for the CUDA of the driver (pytorch.org)"
        yield Check("GPU", "could be", f"there, but torch {version} does not see it", mend)


def _kernels() -> Iterator[Check]:
    """Look for fast kernels, which run on GPUs only."""
    found = find_environments(family_names())
    for name, packages in KERNELS.items():
        if name in found.lacking:
            continue
        python = found.pythons.get(name, Path(sys.executable))
        lacking = [package for package in packages if first_missing(python, [package])]
        there = ", ".join(package for package in packages if package not in lacking)
        if not lacking or not torch.cuda.is_available():
            yield Check(f"kernels of {name}", "ok", there or "none, and no GPU for them")
            continue
        mend = " or ".join(f"{python} -m pip install {packages[each]}" for each in lacking)
        text = f"{there or 'none'}; not {', '.join(lacking)}"
        yield Check(f"kernels of {name}", "ok" if there else "could be", text, mend)


def _conda() -> Check:
    conda = shutil.which("conda")
    if conda is not None:
        return Check("conda", "ok", conda)
    mend = "nothing, unless you want conda environments: conda-forge.org/download"
    return Check("conda", "could be", "not on PATH; jobs run in virtual environments", mend)


def _slurm() -> Check:
    if shutil.which("sbatch") is None:
        mend = "on a cluster, run on a login node"
        return Check("SLURM", "could be", "no sbatch on PATH", mend)
    try:
        return Check("SLURM", "ok", f"partitions {', '.join(partitions())}")
    except UserError as error:
        return Check("SLURM", "could be", str(error), "see that sinfo answers")


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    found = f"{free / 1e9:.0f} GB free in {Path.cwd()}"
    if free >= _LEAST_DISK:
        return Check("disk", "ok", found)
    return Check("disk", "could be", found, "free some, or work in another folder")


def _memory() -> Iterator[Check]:
    lines: Sequence[str] = ()
    if Path("/proc/meminfo").exists():
        lines = Path("/proc/meminfo").read_text().splitlines()
    for line in lines:
        if line.startswith("MemAvailable:"):
            free = 1024 * int(line.split()[1])
            state: State = "ok" if free >= _LEAST_MEMORY else "could be"
            mend = "" if state == "ok" else "end other programs, or lower batch_size"
            yield Check("memory", state, f"{free / 1e9:.0f} GB available", mend)
