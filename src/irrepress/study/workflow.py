"""A run of the workflow: decisions based on Snakemake's objects, before and after its jobs.

This is the only module that imports Snakemake, which the environments of families lack.
"""

import ast
import json
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakemake.io import WILDCARD_REGEX, ancient
from snakemake.settings.types import DeploymentMethod, RerunTrigger

from irrepress.core.errors import UserError
from irrepress.core.files import check_directory
from irrepress.study.cluster import SIGNAL, Asked, check_queue, check_resources, cluster_answers
from irrepress.study.config import Config
from irrepress.study.documents import Document
from irrepress.study.environments import (
    PYTHONS,
    WORKFLOW_PREFIX,
    find_environments,
    set_up_command,
)
from irrepress.study.failures import failed_jobs, summary
from irrepress.study.preflight import check_study, known_families, remarks
from irrepress.study.reading import parse_config

# Jobs end together with the process of this id (scripts/_common.py).
WORKFLOW_PROCESS = "IRREPRESS_WORKFLOW_PROCESS"
# More threads hardly help models of this size.
_MOST_THREADS = 8
_CONDA_OPTIONS = ("--sdm", "--software-deployment-method", "--deployment-method", "--use-conda")


def one_of(names: Iterable[str]) -> str:
    """Return a regular expression that matches one of some names, for a wildcard.

    >>> one_of(["a.b", "c"])
    'a\\\\.b|c'
    """
    return "|".join(map(re.escape, names)) or "(?!)"


@dataclass(frozen=True)
class Run:
    """A run of Snakemake, or one of its jobs, which reads the Snakefile again.

    Attributes:
        workflow: Snakemake's own object.
        arguments: the command-line arguments, without the program name.

    Example:
        >>> Run(workflow=None, arguments=["--sdm=conda", "all"]).is_told("--sdm")
        True
    """

    workflow: Any
    arguments: Sequence[str] = field(default_factory=lambda: sys.argv[1:])

    def read_config(self, content: Any) -> Config:
        """Check the config read by Snakemake and what it refers to.

        This also chooses the environment for the jobs of each family, and prints remarks on
        anything that may be unintended.

        Raises:
            UserError: if there are mistakes; the message has one line for each.
        """
        # Snakemake has read the same files, but does not reject repeated keys and misleading
        # numbers.
        config = parse_config(content, self.source, list(map(Document, self._config_names())))
        check_directory(Path.cwd())
        self.choose_environments(config)
        check_study(config, self.source, packages=not self.uses_conda)
        for remark in remarks(config):
            self.tell(f"{self.source}: {remark}")
        os.environ.update({WORKFLOW_PROCESS: str(os.getpid())})
        return config

    @property
    def source(self) -> str:
        """The name of the config in messages."""
        return " + ".join(self._config_names()) or "config"

    def _config_names(self) -> list[str]:
        paths, here = map(Path, self.workflow.configfiles), Path.cwd()
        return [str(p.relative_to(here) if p.is_relative_to(here) else p) for p in paths]

    @property
    def uses_conda(self) -> bool:
        """Whether jobs run in the conda environments of their rules."""
        methods = self.workflow.deployment_settings.deployment_method
        return any(str(method) == "conda" for method in methods)

    @property
    def uses_slurm(self) -> bool:
        """Whether this process submits jobs to SLURM, or would without --dry-run; False in jobs."""
        plugin = self.workflow.executor_plugin
        if plugin is not None and plugin.name != "dryrun":
            return plugin.name == "slurm"
        # Before execution starts, nodes are only set for executors other than the local one.
        return self.workflow.is_main_process and self.workflow.resource_settings.nodes is not None

    def threads(self, jobs: int) -> int:
        """Return how many threads each of some jobs gets that can run at a time on this machine.

        Of four cores, one is left for what can be done beside them. On a cluster, profiles decide:
        the number of cores of its machines is not known here.

        Args:
            jobs: number of such jobs in the study.
        """
        settings = self.workflow.resource_settings
        if settings.nodes is not None or not settings.cores:
            return 1
        cores = settings.cores - settings.cores // 4
        return min(max(cores // max(jobs, 1), 1), _MOST_THREADS)

    def is_told(self, *options: str) -> bool:
        """Return whether an option is given on the command line itself, not in a profile."""
        return any(word.split("=")[0] in options for word in self.arguments)

    def tell(self, sentence: str) -> None:
        """Print a sentence, unless this process is a job of a run that has already printed it."""
        if self.workflow.is_main_process:
            print(sentence, file=sys.stderr)

    def choose_environments(self, config: Config) -> None:
        """Choose environments for the jobs of each family, passed to scripts/_environment.py.

        Jobs run in conda environments if the user or a profile requests them (a profile only has an
        effect if conda is installed), otherwise in Pythons that have the families' packages; if
        there are none, conda is used as a fallback.

        Raises:
            UserError: if conda is requested on the command line but not installed.
        """
        for variable in (WORKFLOW_PREFIX, PYTHONS):
            os.environ.pop(variable, None)
        settings, here = self.workflow.deployment_settings, shutil.which("conda") is not None
        if self.uses_conda and not here:
            if self.is_told(*_CONDA_OPTIONS):
                raise UserError(
                    "--sdm conda: there is no conda on PATH; install it (conda-forge.org/download) "
                    "and activate it, or omit --sdm and install the packages with 'make setup'"
                )
            kept = {m for m in settings.deployment_method if str(m) != "conda"}
            settings.deployment_method = kept
            self.tell("there is no conda on PATH: jobs run in the environments that are set up")
        if not self.uses_conda:
            self._choose_pythons(config, or_conda=here)
        if self.uses_conda:
            os.environ.update({WORKFLOW_PREFIX: sys.prefix})

    def _choose_pythons(self, config: Config, *, or_conda: bool) -> None:
        found = find_environments(known_families(config))
        if found.lacking and or_conda:
            self.workflow.deployment_settings.imply_deployment_method(DeploymentMethod.CONDA)
            families = " and ".join(found.lacking)
            setup = "' and '".join(map(set_up_command, found.lacking))
            self.tell(
                f"no Python here has {families}: jobs run in conda environments ('{setup}' sets "
                "up others)"
            )
        elif found.pythons:
            pythons = {family: str(python) for family, python in found.pythons.items()}
            os.environ.update({PYTHONS: json.dumps(pythons)})
            for family, python in pythons.items():
                self.tell(f"jobs of the family {family} run in {python}")

    def keep_results_of_other_environments(self) -> None:
        """Consider results up to date regardless of whether conda is used, as the profiles do.

        Without this, ``irrepress setup mace`` after a run with conda would make everything anew.
        Snakemake takes its triggers from the command line and profiles only, after it has read
        the Snakefile.
        """

        class Workflow(type(self.workflow)):  # type: ignore[misc]
            @property
            def rerun_triggers(self) -> set[RerunTrigger]:
                return set(super().rerun_triggers) - {RerunTrigger.SOFTWARE_ENV}

        if not self.is_told("--rerun-triggers", "--rerun-trigger"):
            self.workflow.__class__ = Workflow

    def of_the_user(self, paths: Sequence[str]) -> list[Any]:
        """Return user files as inputs whose modification times are ignored.

        Parameters contain hashes of their contents instead, unless --rerun-triggers excludes
        parameters. Files whose names contain wildcards are omitted.
        """
        known = [path for path in paths if WILDCARD_REGEX.search(path) is None]
        return list(map(ancient, known)) if self._parameters_decide else known

    @property
    def _parameters_decide(self) -> bool:
        return RerunTrigger.PARAMS in self.workflow.rerun_triggers

    def finish_jobs_on_interrupt(self) -> None:
        """Let SIGINT to Snakemake alone behave like SIGTERM: running jobs finish and count.

        By default Snakemake waits for them but marks their results as incomplete. Ctrl-C also
        reaches the jobs, which stop immediately, and a second one stops Snakemake as usual. Jobs on
        a cluster are cancelled as usual.
        """
        graceful = signal.getsignal(signal.SIGTERM)
        if self.uses_slurm or not callable(graceful):
            return

        def interrupt(number: int, frame: Any) -> None:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            # In a thread: the interrupted code may hold the lock that it needs.
            threading.Thread(target=graceful).start()

        signal.signal(signal.SIGINT, interrupt)

    def check_cluster(self, gpu_type: str | None) -> None:
        """Check that the cluster can run the jobs, if they are submitted to one.

        Raises:
            UserError: if it lacks resources, or jobs of another run are in its queue.
        """
        if not self.uses_slurm:
            return
        needed = {job.rule.name for job in self.workflow.dag.needrun_jobs()}
        asked = asked_by(rule for rule in self.workflow.rules if rule.name in needed)
        file = self.workflow.executor_settings.partition_config
        file = file or os.getenv("SNAKEMAKE_SLURM_PARTITIONS")
        check_resources(asked, gpu_type, Path(file) if file else None)
        check_queue(Path.cwd())

    def check_what_no_cluster_has(self, gpu_type: str | None) -> None:
        """Check partitions and GPU types before the jobs are known, also in dry runs.

        Raises:
            UserError: if the cluster lacks them.
        """
        if not self.uses_slurm or not cluster_answers():
            return
        partitions = {Asked(each.partition) for each in asked_by(self.workflow.rules)}
        check_resources(partitions, gpu_type)

    def warning_before_the_limit(self) -> dict[str, str]:
        """Return the option by which SLURM sends SIGTERM to training before its time limit.

        Training then saves a checkpoint. The option is set in rules, in addition to the default
        options of sbatch, because --default-resources on the command line replaces those of a
        profile.
        """
        if not self.uses_slurm:
            return {}
        defaults = self.workflow.resource_settings._parsed_default_resources
        return {"slurm_extra": with_signal(defaults.get("slurm_extra").raw or "")}

    def tell_of_trainings_without_warning(self, trainings: Iterable[str]) -> None:
        """Print which training rules would not be warned before their time limit, and why."""
        rules = self.workflow.rules if self.uses_slurm else []
        trainings = set(trainings)
        for rule in rules:
            extra = rule.resources.get("slurm_extra").raw
            if rule.name in trainings and isinstance(extra, str) and "--signal" not in extra:
                self.tell(
                    f"set-resources: {rule.name}:slurm_extra lacks {SIGNAL}, without which "
                    "training does not save a checkpoint before its time limit; add it"
                )

    def tell_what_was_made(self, text_of: Callable[[list[str]], str]) -> None:
        """Print the models made by this run, and how to use them.

        Args:
            text_of: function from outputs to the text (`irrepress.report.made.terminal_text`).
        """
        outputs = {str(path) for job in self.workflow.dag.jobs for path in job.output}
        if text := text_of(sorted(outputs)):
            print(text, file=sys.stderr)


def tell_what_failed(logs: str | Sequence[str]) -> None:
    """Print the failed jobs from Snakemake's logs."""
    for name in [logs] if isinstance(logs, str) else logs:
        if not Path(name).exists():
            continue
        if failures := failed_jobs(Path(name).read_text(encoding="utf-8")):
            print(summary(failures), file=sys.stderr)


def with_signal(options: str) -> str:
    """Return options of sbatch, with the signal before the time limit unless they set one.

    Args:
        options: the options as stored by Snakemake: an expression, usually a quoted string.
    """
    try:
        options = ast.literal_eval(options)
    except (ValueError, SyntaxError):
        pass
    return options if "--signal" in options else f"{options} {SIGNAL}".strip()


def asked_by(rules: Iterable[Any]) -> list[Asked]:
    """Return the cluster resources that jobs of some rules request.

    Partitions that are computed for each job are left to the executor.
    """
    partitions = ((rule, _plain_resource(rule, "slurm_partition")) for rule in rules)
    return [Asked(name, "gpu" in rule.resources) for rule, name in partitions if name != ""]


def _plain_resource(rule: Any, name: str) -> str | None:
    """Return a resource that is a plain name; None if unset, "" if it is an expression."""
    resource = rule.resources.get(name)
    if resource is None or (resource.raw is None and not callable(resource._value)):
        return None
    raw = resource.raw
    return raw if isinstance(raw, str) and re.fullmatch(r"[\w.-]+", raw) is not None else ""
