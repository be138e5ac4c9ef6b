"""Commands on the configuration of a study."""

import shutil
from pathlib import Path
from typing import Annotated

import typer


def check(
    config: Annotated[Path, typer.Argument(metavar="CONFIG")],
    conda: Annotated[
        bool,
        typer.Option(
            "--conda", help="Jobs run in conda environments: this Python needs no family's package."
        ),
    ] = False,
) -> None:
    """Check a configuration and what it names, as a run does, and list what it would compute."""
    from irrepress.study.overview import overview
    from irrepress.study.preflight import check_study, remarks
    from irrepress.study.reading import load_config

    study = load_config(config)
    # Where a family has no Python, a run takes conda if it is there.
    check_study(study, str(config), packages=not conda and shutil.which("conda") is None)
    for remark in remarks(study):
        typer.echo(f"note: {remark}")
    typer.echo(f"{config}: valid")
    for line in overview(study):
        typer.echo(f"  {line}")
