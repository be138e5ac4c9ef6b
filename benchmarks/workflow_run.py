"""A run of the workflow from a benchmark."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run_workflow(
    configs: Sequence[Path],
    directory: Path,
    cores: str,
    targets: Sequence[str | Path] = (),
    options: Sequence[str] = (),
) -> float:
    """Run targets of the workflow; return the seconds that it took.

    Args:
        configs: config files; later ones change earlier ones.
        directory: where results go.
        cores: as snakemake takes it.
        targets: files or rules; none: the whole study.
        options: further options of snakemake.

    Raises:
        CalledProcessError: a job failed.
    """
    command = [sys.executable, "-m", "snakemake", *targets, "--rerun-incomplete"]
    command += ["--snakefile", ROOT / "Snakefile", "--directory", directory]
    command += ["--cores", cores, *options, "--configfile", *configs]
    begin = time.perf_counter()
    subprocess.run(list(map(str, command)), check=True)
    return time.perf_counter() - begin
