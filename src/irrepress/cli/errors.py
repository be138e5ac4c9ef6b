"""Errors of users as messages and exit codes."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import typer

from irrepress.core.errors import UserError


def plain_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command print a `UserError` as one message and exit with code 2; Ctrl-C with 130."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except UserError as error:
            typer.echo(f"irrepress: {error}", err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            typer.echo("irrepress: interrupted", err=True)
            raise typer.Exit(130) from None

    return wrapped
