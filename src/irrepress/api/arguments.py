"""Arguments of the front door, checked as sections of a config are."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from irrepress.core.errors import UserError, nearest
from irrepress.core.section import Section


def refuse_existing(path: str | Path, overwrite: bool) -> None:
    """Refuse to write to a path that exists, unless it is to be overwritten.

    Raises:
        UserError: it exists.
    """
    if Path(path).exists() and not overwrite:
        raise UserError(
            f"{path}: exists already; choose another name, or overwrite it (overwrite=True, or "
            "--overwrite on the command line)"
        )


AnySection = TypeVar("AnySection", bound=Section)


def make_section(kind: type[AnySection], call: str, arguments: dict[str, Any]) -> AnySection:
    """Return a section of a config that is made of the arguments of a call.

    Args:
        kind: the section.
        call: what messages begin with, such as ``finetune``.
        arguments: values by the names of the section's keys.

    Raises:
        UserError: an unknown name, or a value that it cannot have; the message names the first.
    """
    try:
        return kind.model_validate(arguments)
    except ValidationError as error:
        (mistake, *_) = error.errors()
    where = ".".join(str(part) for part in mistake["loc"])
    if mistake["type"] == "extra_forbidden":
        hint = nearest(where, kind.model_fields)
        raise UserError(f"{call}: no argument {where!r}; {hint}")
    message = mistake["msg"].removeprefix("Value error, ")
    value = mistake.get("input")
    got = "" if isinstance(value, dict) or not where else f" (it is {value!r})"
    raise UserError(f"{call}: {where}{': ' if where else ''}{message}{got}")
