"""Records that jobs leave as JSON, checked when they are read."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from irrepress.core.errors import UserError
from irrepress.core.files import read_json


class Record(BaseModel):
    """A record; further keys are welcome, since later versions may record more."""

    model_config = ConfigDict(extra="ignore", frozen=True)


RecordType = TypeVar("RecordType", bound=BaseModel)


def read_record(path: str | Path, kind: type[RecordType]) -> RecordType:
    """Read a JSON file as a record.

    Raises:
        UserError: the file is missing, is not JSON, lacks a key, or has a value or a schema
            version that it cannot have; the message names the file and the key.
    """
    content = read_json(path)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise UserError(
            f"{path}: {_first_mistake(error)}; delete the file and run the workflow again"
        ) from None


def _first_mistake(error: ValidationError) -> str:
    """Say which key is wrong, and how."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "the file"
    if first["loc"] == ("schema_version",) and first["type"] == "literal_error":
        known = first["ctx"]["expected"]
        return f"{key}: is {first['input']!r}, this version of irrepress reads {known}"
    message = first["msg"][0].lower() + first["msg"][1:]
    if first["type"] in ("greater_than", "greater_than_equal", "finite_number"):
        message += f", it is {first['input']!r}"
    return f"{key}: {message}"
