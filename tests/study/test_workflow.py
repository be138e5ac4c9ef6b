"""What a run of the workflow decides from Snakemake's objects; here stand-ins of them."""

import os
import re
import signal
import sys
import threading
from types import SimpleNamespace

import pytest
from study_samples import make_config

from irrepress.core.errors import UserError
from irrepress.study import workflow
from irrepress.study.cluster import Asked
from irrepress.study.environments import PYTHONS, WORKFLOW_PREFIX, Environments
from irrepress.study.workflow import Run, asked_by, one_of, tell_what_failed, with_signal


class Deployment:
    """Stands for Snakemake's settings of software deployment."""

    def __init__(self, *methods: str):
        self.deployment_method = set(methods)

    def imply_deployment_method(self, method: object) -> None:
        self.deployment_method.add(str(method))


def resource(raw: object = None, value: object = None) -> SimpleNamespace:
    return SimpleNamespace(raw=raw, _value=value)


class Rule(SimpleNamespace):
    """Stands for a rule of Snakemake."""


def stand_in(
    *,
    executor: str | None = None,
    nodes: int | None = None,
    cores: int | None = None,
    **others: object,
):
    """Return a stand-in of Snakemake's workflow."""
    plugin = None if executor is None else SimpleNamespace(name=executor)
    known = {
        "configfiles": [],
        "deployment_settings": Deployment(),
        "executor_plugin": plugin,
        "is_main_process": True,
        "resource_settings": SimpleNamespace(nodes=nodes, cores=cores),
        "basedir": ".",
        "rules": [],
    }
    return SimpleNamespace(**(known | others))


def test_a_wildcard_is_one_of_some_names():
    assert re.fullmatch(one_of(["a.b", "c"]), "a.b") and not re.fullmatch(one_of(["a.b"]), "axb")
    assert re.fullmatch(one_of([]), "") is None


@pytest.mark.parametrize(
    ("executor", "nodes", "slurm"),
    [
        ("slurm", None, True),
        ("local", None, False),
        ("dryrun", None, False),
        ("dryrun", 4, True),
        (None, 4, True),
        (None, None, False),
    ],
)
def test_slurm_is_known_before_and_after_snakemake_begins(executor, nodes, slurm):
    assert Run(stand_in(executor=executor, nodes=nodes)).uses_slurm == slurm


@pytest.mark.parametrize(
    ("cores", "nodes", "jobs", "threads"),
    [
        (2, None, 1, 2),
        (4, None, 1, 3),
        (2, None, 3, 1),
        (9, None, 2, 3),
        (64, None, 0, 8),
        (None, None, 1, 1),
        (16, 4, 1, 1),
    ],
)
def test_cores_that_would_be_idle_are_shared_but_on_a_cluster(cores, nodes, jobs, threads):
    assert Run(stand_in(cores=cores, nodes=nodes)).threads(jobs) == threads


def test_options_of_the_command_line_are_known():
    run = Run(stand_in(), ["--sdm=conda", "all"])
    assert run.is_told("--use-conda", "--sdm") and not run.is_told("--use-conda")


def test_messages_call_the_config_by_its_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = [tmp_path / "a.yaml", "/elsewhere/b.yaml"]
    assert Run(stand_in(configfiles=files)).source == "a.yaml + /elsewhere/b.yaml"
    assert Run(stand_in()).source == "config"


@pytest.fixture
def surroundings(monkeypatch):
    """A function that says whether conda is here and what Pythons are; restores variables."""
    for variable in (WORKFLOW_PREFIX, PYTHONS):
        monkeypatch.setenv(variable, "of an earlier run")

    def set_up(*, conda: bool, lacking: bool = False, pythons: bool = False) -> None:
        found = Environments(
            {"mace": "/other/python"} if pythons else {}, {"mace": "why"} if lacking else {}
        )
        monkeypatch.setattr(workflow, "find_environments", lambda *_: found)
        monkeypatch.setattr(workflow.shutil, "which", lambda _: "/bin/conda" if conda else None)

    return set_up


def test_conda_that_is_asked_for_must_be_here(surroundings, capsys):
    surroundings(conda=False)
    asked = Run(stand_in(deployment_settings=Deployment("conda")), ["--sdm", "conda"])
    with pytest.raises(UserError, match="there is no conda on PATH; install it"):
        asked.choose_environments(make_config())
    by_profile = Run(stand_in(deployment_settings=Deployment("conda")), [])
    by_profile.choose_environments(make_config())
    assert not by_profile.uses_conda
    assert "there is no conda on PATH: jobs run in" in capsys.readouterr().err


def test_conda_is_used_where_a_family_has_no_python(surroundings, capsys):
    surroundings(conda=True, lacking=True)
    run = Run(stand_in(), [])
    run.choose_environments(make_config())
    assert run.uses_conda and os.environ[WORKFLOW_PREFIX] == sys.prefix
    assert "no Python here has mace" in capsys.readouterr().err


def test_jobs_are_told_the_pythons_of_their_families(surroundings, capsys):
    surroundings(conda=True, pythons=True)
    run = Run(stand_in(), [])
    run.choose_environments(make_config())
    assert not run.uses_conda and WORKFLOW_PREFIX not in os.environ
    assert os.environ[PYTHONS] == '{"mace": "/other/python"}'
    assert "jobs of the family mace run in /other/python" in capsys.readouterr().err


def test_jobs_of_a_run_say_nothing(capsys):
    Run(stand_in(is_main_process=False)).tell("that it began")
    assert capsys.readouterr().err == ""


def test_another_environment_makes_no_result_old():
    from snakemake.settings.types import RerunTrigger

    class Triggered:
        rerun_triggers = frozenset({RerunTrigger.PARAMS, RerunTrigger.SOFTWARE_ENV})

    run = Run(Triggered(), [])
    run.keep_results_of_other_environments()
    assert run.workflow.rerun_triggers == {RerunTrigger.PARAMS}
    asked = Run(Triggered(), ["--rerun-triggers", "mtime"])
    asked.keep_results_of_other_environments()
    assert asked.workflow.rerun_triggers == Triggered.rerun_triggers


def test_files_of_the_user_count_by_their_contents():
    from snakemake.io import is_flagged
    from snakemake.settings.types import RerunTrigger

    files = ["own.xyz", "my{model}.pth"]
    (file,) = Run(SimpleNamespace(rerun_triggers={RerunTrigger.PARAMS})).of_the_user(files)
    assert file == "own.xyz" and is_flagged(file, "ancient")
    (file,) = Run(SimpleNamespace(rerun_triggers={RerunTrigger.MTIME})).of_the_user(files)
    assert not is_flagged(file, "ancient")


def test_an_interrupt_finishes_what_runs():
    told = threading.Event()
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        signal.signal(signal.SIGTERM, lambda *_: told.set())
        graceful = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, graceful)
        Run(stand_in(executor="slurm")).finish_jobs_on_interrupt()
        assert signal.getsignal(signal.SIGINT) == before[1]
        Run(stand_in(executor="local")).finish_jobs_on_interrupt()
        signal.raise_signal(signal.SIGINT)
        assert told.wait(10)
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])


def test_what_rules_ask_of_a_cluster():
    rules = [
        Rule(name="a", resources={}),
        Rule(name="b", resources={"slurm_partition": resource("gpu"), "gpu": resource(1)}),
        Rule(name="c", resources={"slurm_partition": resource("'gpu' if attempt else 'cpu'")}),
        Rule(name="d", resources={"slurm_partition": resource(None, lambda: "computed")}),
        Rule(name="e", resources={"slurm_partition": resource(None, "unset")}),
    ]
    assert asked_by(rules) == [Asked(None), Asked("gpu", gpu=True), Asked(None)]


def test_the_cluster_is_asked_for_rules_that_run(monkeypatch):
    checked = []
    monkeypatch.setattr(workflow, "check_resources", lambda *arguments: checked.append(arguments))
    monkeypatch.setattr(workflow, "check_queue", checked.append)
    monkeypatch.delenv("SNAKEMAKE_SLURM_PARTITIONS", raising=False)
    rules = [Rule(name="a", resources={}), Rule(name="b", resources={"gpu": resource(1)})]
    dag = SimpleNamespace(needrun_jobs=lambda: [SimpleNamespace(rule=rules[1])])
    settings = SimpleNamespace(partition_config=None)
    known = {"rules": rules, "dag": dag, "executor_settings": settings}
    Run(stand_in(executor="local", **known)).check_cluster("a100")
    assert checked == []
    Run(stand_in(executor="slurm", **known)).check_cluster("a100")
    assert checked[0] == ([Asked(None, gpu=True)], "a100", None) and len(checked) == 2


@pytest.mark.parametrize(
    ("options", "signalled"),
    [
        ("", "--signal=TERM@120"),
        ("'--qos=long'", "--qos=long --signal=TERM@120"),
        ("--qos=long", "--qos=long --signal=TERM@120"),
        ("'--signal=USR1@60'", "--signal=USR1@60"),
    ],
)
def test_trainings_are_warned_before_their_limit(options, signalled):
    assert with_signal(options) == signalled


def test_trainings_that_are_not_warned_are_told(capsys):
    def rule(name: str, extra: str | None) -> Rule:
        return Rule(name=name, resources={"slurm_extra": resource(extra)})

    rules = [rule("recover", "--qos=long"), rule("distill", "--signal=TERM@120")]
    rules.append(rule("score", "--qos=long"))
    trainings = ["recover", "distill"]
    Run(stand_in(rules=rules)).tell_of_trainings_without_warning(trainings)
    assert capsys.readouterr().err == ""
    Run(stand_in(executor="slurm", rules=rules)).tell_of_trainings_without_warning(trainings)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("set-resources: recover:slurm_extra lacks --signal=TERM@120")


def test_the_end_of_a_run_is_told(capsys, tmp_path):
    jobs = [SimpleNamespace(output=["b"]), SimpleNamespace(output=["a", "b"])]
    run = Run(stand_in(dag=SimpleNamespace(jobs=jobs)))
    run.tell_what_was_made(lambda outputs: f"made {', '.join(outputs)}")
    assert capsys.readouterr().err == "made a, b\n"
    run.tell_what_was_made(lambda _: "")
    log = tmp_path / "snakemake.log"
    log.write_text("Error in rule prune:\n    jobid: 1\n    output: model.pt\n    log: model.log\n")
    tell_what_failed([str(log), str(tmp_path / "lost.log")])
    assert capsys.readouterr().err.startswith("1 job failed:\n  prune: model.pt")
