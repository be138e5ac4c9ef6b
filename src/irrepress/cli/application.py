"""The application, and the commands that it has."""

from typing import Annotated

import typer

from irrepress import __version__
from irrepress.cli import (
    comparison,
    compression,
    datasets,
    deployment,
    evaluation,
    machine,
    models,
    studies,
    validation,
    workflow,
)
from irrepress.cli.errors import plain_errors
from irrepress.cli.many_values import ManyValues
from irrepress.cli.passing_on import PassingOn
from irrepress.core.terminal import print_readably

app = typer.Typer(
    name="irrepress",
    help="Smaller and faster SO(3)-equivariant atomistic foundation models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

# In the order in which the help lists them.
_COMMANDS = (
    models.inspect,
    compression.prune,
    compression.compensate,
    compression.finetune,
    compression.distill,
    comparison.compare,
    evaluation.evaluate,
    validation.validate,
    deployment.deploy,
    datasets.summarize,
    datasets.datasets,
    workflow.compress,
    workflow.new,
    studies.check,
    models.card,
    models.unpack,
    models.export,
    models.merge,
    machine.doctor,
    machine.setup,
)
# Those that call another program, which takes what stands after "--".
_PASSING_ON = (workflow.compress, machine.setup)
# Those with an option that takes several numbers.
_MANY_VALUES = (validation.validate, workflow.new)
for _command in _COMMANDS:
    _kind = PassingOn if _command in _PASSING_ON else None
    app.command(cls=ManyValues if _command in _MANY_VALUES else _kind)(plain_errors(_command))


def main() -> None:
    """Run the command line."""
    print_readably()
    app()


def _version(show: bool) -> None:
    if show:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Smaller and faster SO(3)-equivariant atomistic foundation models."""
