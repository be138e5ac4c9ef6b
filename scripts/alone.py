"""Run the script of one job alone, without the workflow: to debug it, or to try a change.

First write down what the job reads and makes, which runs nothing; then run its script:

    python scripts/alone.py describe prune model=sevennet-0 plan=taylor-0.50 \
        --configfile config/quickstart.yaml > job.json
    python scripts/alone.py run job.json

The file can be changed by hand, or written so. Its inputs must be there; what the script makes
goes where the file says, and what it prints to the log.
"""

import argparse
import json
import os
import runpy
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from _library import WORKFLOW


def describe(
    rule: str, wildcards: Mapping[str, str], configfiles: Sequence[str | Path]
) -> dict[str, Any]:
    """Return the job of a rule as plain data; the workflow is read and nothing is run.

    Args:
        rule: name of the rule.
        wildcards: the job's wildcards.
        configfiles: the config; without any the Snakefile's own.
    """
    # Not above: the Pythons of families have no Snakemake, and run jobs.
    from snakemake.api import SnakemakeApi
    from snakemake.dag import DAG
    from snakemake.jobs import Job
    from snakemake.settings.types import (
        ConfigSettings,
        DAGSettings,
        OutputSettings,
        Quietness,
        ResourceSettings,
    )

    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        opened = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(configfiles=[Path(file) for file in configfiles]),
            snakefile=WORKFLOW / "Snakefile",
            workdir=Path.cwd(),
        )
        opened.dag(dag_settings=DAGSettings())
        workflow = opened._workflow
        workflow.global_resources = {}
        known = workflow.get_rule(rule)
        job = Job(known, DAG(workflow, rules=[known]), dict(wildcards))
        return {
            "script": Path(known.script).name,
            "rule": rule,
            "input": _plain(job.input),
            "output": _plain(job.output),
            "params": dict(job.params.items()),
            "wildcards": dict(wildcards),
            "threads": job.threads,
            "log": [str(path) for path in job.log],
        }


def _plain(files: Any) -> dict[str, Any]:
    """Return named files as plain data."""
    return {
        name: str(found) if isinstance(found, str) else [str(path) for path in found]
        for name, found in files.items()
    }


def run(job: Mapping[str, Any]) -> None:
    """Run the script of a job that `describe` returns, in this process.

    Where jobs of its family run in another Python, it goes on in that one.
    """
    names = ("input", "output", "params", "wildcards")
    parts = {name: SimpleNamespace(**job[name]) for name in names}
    stand_in = SimpleNamespace(
        rule=job["rule"], threads=job.get("threads", 1), log=job["log"], **parts
    )
    runpy.run_path(
        str(WORKFLOW / "scripts" / job["script"]),
        init_globals={"snakemake": stand_in},
        run_name="__main__",
    )


def _main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    described = commands.add_parser("describe", help="write down the job of a rule, as JSON")
    described.add_argument("rule")
    described.add_argument("wildcards", nargs="*", metavar="NAME=VALUE")
    described.add_argument("--configfile", nargs="+", default=[], type=os.path.abspath)
    started = commands.add_parser("run", help="run the script of a job")
    started.add_argument("job", type=Path, help="the JSON file")
    arguments = parser.parse_args()
    if arguments.command == "run":
        run(json.loads(arguments.job.read_text(encoding="utf-8")))
        return
    wildcards = dict(wildcard.split("=", 1) for wildcard in arguments.wildcards)
    print(json.dumps(describe(arguments.rule, wildcards, arguments.configfile), indent=2))


if __name__ == "__main__":
    _main()
