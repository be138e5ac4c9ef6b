"""A run of the workflow: what it decides from Snakemake's own objects before and after its jobs.

The only module that imports Snakemake, which the environments of families do not have.
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

# Jobs end with the process of this number (scripts/_common.py).
WORKFLOW_PROCESS = "IRREPRESS_WORKFLOW_PROCESS"
_CONDA_OPTIONS = ("--sdm", "--software-deployment-method", "--deployment-method", "--use-conda")


def one_of(names: Iterable[str]) -> str:
    """Return the regular expression of a wildcard that is one of some names.

    >>> one_of(["a.b", "c"])
    'a\\\\.b|c'
    """
    return "|".join(map(re.escape, names)) or "(?!)"


@dataclass(frozen=True)
class Run:
    """A run of Snakemake, or one of its jobs, which reads the Snakefile again.

    Attributes:
        workflow: Snakemake's own object.
        arguments: the words of its command line, without its name.
    """

    workflow: Any
    arguments: Sequence[str] = field(default_factory=lambda: sys.argv[1:])

    def read_config(self, content: Any) -> Config:
        """Check the config that Snakemake has read, and what it names but does not hold.

        Where the jobs of each family run is decided on the way. What may not be meant is printed.

        Raises:
            UserError: something is wrong; the message has one line for every mistake.
        """
        # Snakemake has read the same files, but for what they say twice, or otherwise than it
        # seems.
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
        """What messages call the config."""
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
        """Whether this process sends jobs to SLURM, or would if it were no dry run; jobs do not."""
        plugin = self.workflow.executor_plugin
        if plugin is not None and plugin.name != "dryrun":
            return plugin.name == "slurm"
        # Before Snakemake begins: only for other executors than the local one it counts nodes.
        return self.workflow.is_main_process and self.workflow.resource_settings.nodes is not None

    def is_told(self, *options: str) -> bool:
        """Whether an option stands on the command line itself, and not in a profile."""
        return any(word.split("=")[0] in options for word in self.arguments)

    def tell(self, sentence: str) -> None:
        """Print a sentence, unless this process is a job of a run that has printed it."""
        if self.workflow.is_main_process:
            print(sentence, file=sys.stderr)

    def choose_environments(self, config: Config) -> None:
        """Decide where the jobs of each family run, and tell the jobs (scripts/_environment.py).

        In conda environments if the user or a profile asks for them; a profile does so for
        machines that have conda. Else in the Pythons that have the families' packages; and if
        there are none, in conda environments after all.

        Raises:
            UserError: conda is asked for on the command line, and is not here.
        """
        for variable in (WORKFLOW_PREFIX, PYTHONS):
            os.environ.pop(variable, None)
        settings, here = self.workflow.deployment_settings, shutil.which("conda") is not None
        if self.uses_conda and not here:
            if self.is_told(*_CONDA_OPTIONS):
                raise UserError(
                    "--sdm conda: there is no conda on PATH; install it "
                    "(conda-forge.org/download) and activate it, or leave --sdm out and set up "
                    "the packages with 'make setup'"
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
        """Count the same results as current whether or not conda is used, as the profiles do.

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
        """Return files of the user as inputs: parameters tell of their contents, times nothing.

        Unless parameters are left out of what makes a job run again (--rerun-triggers). Files
        whose names Snakemake would take for wildcards are left out.
        """
        known = [path for path in paths if WILDCARD_REGEX.search(path) is None]
        return list(map(ancient, known)) if self._parameters_decide else known

    @property
    def _parameters_decide(self) -> bool:
        return RerunTrigger.PARAMS in self.workflow.rerun_triggers

    def finish_jobs_on_interrupt(self) -> None:
        """Let SIGINT to Snakemake alone do what SIGTERM does: jobs that run are finished, counted.

        Snakemake waits for them anyway, but marks their results as incomplete. Ctrl-C reaches the
        jobs, too, which end at once; and a second one ends Snakemake as ever. Jobs on a cluster
        are cancelled, as ever.
        """
        graceful = signal.getsignal(signal.SIGTERM)
        if self.uses_slurm or not callable(graceful):
            return

        def interrupt(number: int, frame: Any) -> None:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            # Not here: this may interrupt what holds the lock that it takes.
            threading.Thread(target=graceful).start()

        signal.signal(signal.SIGINT, interrupt)

    def check_cluster(self, gpu_type: str | None) -> None:
        """Check that the cluster can run what is to be run, if jobs are sent to one.

        Raises:
            UserError: it lacks something, or jobs of another run are in its queue.
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
        """Check partitions and types of GPUs before the jobs are known, for dry runs as well.

        Raises:
            UserError: the cluster lacks them.
        """
        if not self.uses_slurm or not cluster_answers():
            return
        partitions = {Asked(each.partition) for each in asked_by(self.workflow.rules)}
        check_resources(partitions, gpu_type)

    def warning_before_the_limit(self) -> dict[str, str]:
        """Return what has SLURM send SIGTERM to a training before its limit, so it saves itself.

        It stands in the rules, beside what the defaults tell sbatch: --default-resources on the
        command line takes the place of all those of a profile.
        """
        if not self.uses_slurm:
            return {}
        defaults = self.workflow.resource_settings._parsed_default_resources
        return {"slurm_extra": with_signal(defaults.get("slurm_extra").raw or "")}

    def tell_of_trainings_without_warning(self, trainings: Iterable[str]) -> None:
        """Say which trainings lose what they compute after their last checkpoint, and why."""
        rules = self.workflow.rules if self.uses_slurm else []
        trainings = set(trainings)
        for rule in rules:
            extra = rule.resources.get("slurm_extra").raw
            if rule.name in trainings and isinstance(extra, str) and "--signal" not in extra:
                self.tell(
                    f"set-resources: {rule.name}:slurm_extra leaves out {SIGNAL}, without which a "
                    "training does not save itself before its time limit; add it"
                )

    def tell_what_was_made(self, text_of: Callable[[list[str]], str]) -> None:
        """Print the models that the targets of this run stand for, and how to use them.

        Args:
            text_of: the text for some outputs (`irrepress.report.made.terminal_text`).
        """
        outputs = {str(path) for job in self.workflow.dag.jobs for path in job.output}
        if text := text_of(sorted(outputs)):
            print(text, file=sys.stderr)


def tell_what_failed(logs: str | Sequence[str]) -> None:
    """Print the jobs that failed, from Snakemake's logs."""
    for name in [logs] if isinstance(logs, str) else logs:
        if not Path(name).exists():
            continue
        if failures := failed_jobs(Path(name).read_text(encoding="utf-8")):
            print(summary(failures), file=sys.stderr)


def with_signal(options: str) -> str:
    """Return options of sbatch, with the signal before the time limit if they name none.

    Args:
        options: as Snakemake keeps them: an expression, most often a quoted text.
    """
    try:
        options = ast.literal_eval(options)
    except (ValueError, SyntaxError):
        pass
    return options if "--signal" in options else f"{options} {SIGNAL}".strip()


def asked_by(rules: Iterable[Any]) -> list[Asked]:
    """Return what jobs of some rules ask a cluster for.

    Partitions that are computed job by job are left to the executor.
    """
    partitions = ((rule, _plain_resource(rule, "slurm_partition")) for rule in rules)
    return [Asked(name, "gpu" in rule.resources) for rule, name in partitions if name != ""]


def _plain_resource(rule: Any, name: str) -> str | None:
    """Return a resource that is a name; None if it is not set, "" if it is an expression."""
    resource = rule.resources.get(name)
    if resource is None or (resource.raw is None and not callable(resource._value)):
        return None
    raw = resource.raw
    return raw if isinstance(raw, str) and re.fullmatch(r"[\w.-]+", raw) is not None else ""
