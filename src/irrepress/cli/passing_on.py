"""Arguments after ``--``, which commands pass on to another program."""

from typing import Any

import typer

from irrepress.cli.many_values import ManyValues

_KEY = "irrepress.passed_on"


class PassingOn(ManyValues):
    """A command that keeps what stands after ``--`` for another program, if it asks for it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take away what stands after the first ``--``."""
        if "--" in args:
            place = args.index("--")
            args, ctx.meta[_KEY] = args[:place], args[place + 1 :]
        return super().parse_args(ctx, args)


def passed_on(context: typer.Context) -> list[str]:
    """Return what stands after ``--``."""
    return list(context.meta.get(_KEY, ()))
