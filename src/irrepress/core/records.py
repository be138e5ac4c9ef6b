"""Records: JSON files that one class writes and reads, of every version so far."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from irrepress.core.errors import UserError
from irrepress.core.files import read_json, write_json


class Record(BaseModel):
    """A part of a record; unknown keys are ignored, since later versions may record more."""

    model_config = ConfigDict(extra="ignore", frozen=True)


# Turns the content of a file of one version into that of the next one.
Upgrade = Callable[[dict[str, Any]], dict[str, Any]]


class RecordFile(Record):
    """A record that is a file of its own.

    A subclass declares ``schema_version`` as a `typing.Literal` of the version that it writes, and
    in `upgrades` how files of every earlier version become files of the next.

    Attributes:
        upgrades: version -> what makes a file of the next version of it. It raises a
            `UserError`, without the file's name, where a file lacks what the next version holds.

    Example:
        >>> import tempfile
        >>> from typing import Literal
        >>> class Size(RecordFile):
        ...     upgrades = {1: lambda old: {"atoms": old["number"]}}
        ...     schema_version: Literal[2] = 2
        ...     atoms: int
        >>> path = Path(tempfile.mkdtemp()) / "size.json"
        >>> Size(atoms=3).save(path)
        >>> Size.load(path).atoms
        3
        >>> _ = path.write_text('{"schema_version": 1, "number": 4}')
        >>> Size.load(path).atoms
        4
    """

    upgrades: ClassVar[Mapping[int, Upgrade]] = {}

    schema_version: int

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file of the present version or of an earlier one.

        Raises:
            UserError: the file is missing, is not JSON, lacks a key, or has a value or a schema
                version that it cannot have; the message names the file and the key.
        """
        content = read_json(path)
        try:
            return cls.model_validate(cls._upgraded(content))
        except ValidationError as error:
            message = _first_mistake(error)
        except UserError as error:
            message = str(error)
        raise UserError(f"{path}: {message}; delete the file and run the workflow again")

    def save(self, path: str | Path) -> None:
        """Write the file atomically, as JSON: its version and all that was set.

        Raises:
            UserError: it cannot be written.
        """
        write_json(path, self.content())

    def content(self) -> dict[str, Any]:
        """Return what the file holds, as plain data."""
        return {"schema_version": self.schema_version, **self.model_dump(exclude_unset=True)}

    @classmethod
    def _upgraded(cls, content: Any) -> Any:
        """Return the content of a file in the present version, if it is of an earlier one."""
        if isinstance(content, dict) and "schema_version" not in content:
            raise UserError("schema_version: field required")
        while isinstance(content, dict):
            version = content["schema_version"]
            if type(version) is not int or version not in cls.upgrades:
                break
            content = {**cls.upgrades[version](content), "schema_version": version + 1}
        return content


def _first_mistake(error: ValidationError) -> str:
    """Return which key is wrong, and how."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "the file"
    if first["loc"] == ("schema_version",) and first["type"] == "literal_error":
        known = first["ctx"]["expected"]
        return f"{key}: is {first['input']!r}, this version of irrepress reads {known}"
    message = first["msg"][0].lower() + first["msg"][1:]
    if first["type"] in ("greater_than", "greater_than_equal", "finite_number"):
        message += f", it is {first['input']!r}"
    return f"{key}: {message}"
