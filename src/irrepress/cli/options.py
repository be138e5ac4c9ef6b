"""Arguments and options that several commands share."""

from collections.abc import Iterator
from typing import Annotated

import typer

from irrepress.core.errors import UserError

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="Path of a model, or a keyword such as 7net-0.")
]
FamilyOption = Annotated[
    str | None, typer.Option("--family", help="Family; by default from the card or installed.")
]
ModalOption = Annotated[
    str | None, typer.Option("--modal", help="Level of theory of a multi-modal model.")
]
LicenceOption = Annotated[
    str | None,
    typer.Option("--licence", help="Licence of a published checkpoint that you accept, by name."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def pairs(option: str, texts: list[str] | None) -> Iterator[tuple[str, str]]:
    """Yield name and value of an option that is given as NAME=VALUE, any number of times.

    Raises:
        UserError: a text is not of this form.
    """
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not name or not equals or not value:
            raise UserError(f"{option} {text}: expected NAME=VALUE, such as {option} head=pbe")
        yield name, value
