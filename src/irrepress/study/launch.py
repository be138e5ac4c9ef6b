"""Running the workflow as a command of its own, on the config of a folder."""

import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from irrepress.core.errors import UserError
from irrepress.study.environments import PLACES
from irrepress.study.failures import failed_jobs
from irrepress.study.study_folder import StudyFolder
from irrepress.study.workflow_files import workflow_folder

# The exit code of a command that Ctrl-C ended.
INTERRUPTED = 130


@dataclass(frozen=True)
class Launch:
    """A run of the workflow on the config of a folder.

    Attributes:
        folder: the folder, where the workflow runs.
        profile: a profile that is shipped (local, slurm), or the name or path of one's own.
        cores: number of cores; None: as the profile has it.
        arguments: further arguments of Snakemake.

    Example:
        >>> "--cores" in Launch(StudyFolder(Path("study")), cores=4).command()
        True
    """

    folder: StudyFolder
    profile: str = "local"
    cores: int | None = None
    arguments: Sequence[str] = field(default=())

    def command(self, *options: str) -> list[str]:
        """Return the command line, complete with a Python that has Snakemake.

        Args:
            *options: of Snakemake, beside those of the user.

        Raises:
            UserError: if this Python lacks Snakemake.
        """
        if importlib.util.find_spec("snakemake") is None:
            raise UserError(
                f"the workflow needs Snakemake, which this Python ({sys.executable}) lacks; run "
                "pip install 'irrepress[workflow]'"
            )
        folder = self.folder.path.absolute()
        cores = [] if self.cores is None else ["--cores", str(self.cores)]
        return [
            *(sys.executable, "-m", "snakemake"),
            *self.arguments,  # before options that take several values, for they may be targets
            *("--snakefile", str(workflow_folder() / "Snakefile")),
            *("--directory", str(folder)),
            *("--profile", profile_path(self.profile)),
            *cores,
            *options,
            *("--configfile", str(self.folder.config_file.absolute())),
        ]

    def by_hand(self) -> str:
        """Return the command line as a user would type it."""
        return shlex.join(self.command())

    def run(self) -> int:
        """Run the workflow, which prints what it does; return its exit code.

        Ctrl-C reaches it as well: it is waited for, and tells what it leaves.
        """
        interrupted = []
        before = signal.signal(signal.SIGINT, lambda *_: interrupted.append(True))
        try:
            # Rules are not quiet: Snakemake's log then says which jobs failed.
            code = subprocess.call(self.command("--quiet", "host", "reason"), env=_environment())
        finally:
            signal.signal(signal.SIGINT, before)
        return INTERRUPTED if interrupted else code

    def count_jobs(self) -> dict[str, int]:
        """Return how many jobs of which rule a run would have: none are run.

        Raises:
            UserError: if the config or something that it refers to is invalid.
        """
        command = self.command("--dry-run", "--quiet", "rules", "host")
        done = subprocess.run(command, env=_environment(), capture_output=True, text=True)
        if done.returncode:
            raise UserError(done.stderr.strip() or done.stdout.strip())
        return job_counts(done.stdout + done.stderr)

    def reason_of_failure(self) -> str | None:
        """Return what the first job that failed in the last run said; None if none did."""
        logs = sorted((self.folder.path / ".snakemake" / "log").glob("*.log"))
        if not logs:
            return None
        failures = failed_jobs(logs[-1].read_text(encoding="utf-8"))
        for failure in failures:
            log = self.folder.path / failure.log
            if failure.log and log.is_file():
                return log.read_text(encoding="utf-8").strip().splitlines()[-1]
        return None


def profile_path(profile: str) -> str:
    """Return the profile that is shipped under a name; another name or a path as it is."""
    shipped = workflow_folder() / "profiles" / profile
    return str(shipped) if shipped.is_dir() and not Path(profile).is_dir() else profile


def job_counts(output: str) -> dict[str, int]:
    """Return rule -> number of jobs from Snakemake's table of jobs.

    >>> job_counts("job    count\\nall        1\\nprune      2\\ntotal      3")
    {'prune': 2}
    """
    rows = re.findall(r"^(\w+) +(\d+)$", output, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in rows if rule not in ("all", "total")}


def _environment() -> Mapping[str, Any]:
    """Return the variables of a run: environments beside the caller's folder are found, too."""
    places = [place for place in (os.environ.get(PLACES), str(Path.cwd())) if place]
    return os.environ | {PLACES: os.pathsep.join(places)}
