"""Options that take several numbers at once: ``--temperature 300 900``."""

from collections.abc import Iterator, Sequence
from typing import Any

from typer.core import TyperCommand

_OPTIONS = ("--temperature",)


class ManyValues(TyperCommand):
    """A command whose option ``--temperature`` takes all numbers that follow it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each of its numbers."""
        return super().parse_args(ctx, list(repeated(args)))


def repeated(arguments: Sequence[str]) -> Iterator[str]:
    """Yield arguments with the option before each of its numbers.

    >>> list(repeated(["cell.cif", "--temperature", "300", "900", "--minutes", "5"]))
    ['cell.cif', '--temperature', '300', '--temperature', '900', '--minutes', '5']
    """
    option, first = "", False
    for argument in arguments:
        if argument in _OPTIONS:
            option, first = argument, True
        elif first or not _is_number(argument):
            option, first = (option, False) if first else ("", False)
        elif option:
            yield option
        yield argument


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
