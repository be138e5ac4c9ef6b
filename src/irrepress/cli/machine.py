"""Commands on the machine: what it has, and environments of families."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from irrepress.cli.options import JsonOption
from irrepress.cli.output import print_json, print_table
from irrepress.cli.passing_on import passed_on


def doctor(as_json: JsonOption = False) -> None:
    """Say what this machine has of what irrepress needs, and how to mend what is missing.

    The exit code is 1 if something is missing that is needed.
    """
    from irrepress.study.doctor import examine_machine

    checks = list(examine_machine())
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        rows = [(check.name, check.state, check.found, check.mend) for check in checks]
        print_table("this machine", ("what", "state", "found", "mend"), rows)
    if any(check.is_needed for check in checks):
        raise typer.Exit(1)


def setup(
    context: typer.Context,
    family: Annotated[str, typer.Argument(metavar="FAMILY", help="escn, mace or sevennet.")],
    into: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the environment; by default beside ours."),
    ] = None,
) -> None:
    """Make the environment .venv-FAMILY, in which jobs of a family then run by themselves.

    What stands after -- is passed on to pip install.
    """
    from irrepress.study.environments import PLACES, home, places
    from irrepress.study.installation import make_environment

    root = (into or home()).absolute()
    python = make_environment(family, root, passed_on(context))
    typer.echo(f"Jobs of the family {family} run in {python}.")
    if root not in places():
        typer.echo(f"So that they find it, set {PLACES}={root}")
