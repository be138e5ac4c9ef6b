"""Records: JSON files, written and read by the same class, which also reads older versions."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from irrepress.core.errors import UserError
from irrepress.core.files import read_json, write_json


class Record(BaseModel):
    """Part of a record; unknown keys are ignored, because later versions may add some.

    Example:
        >>> class Size(Record):
        ...     atoms: int
        >>> Size.model_validate({"atoms": 3, "colour": "red"})
        Size(atoms=3)
    """

    model_config = ConfigDict(extra="ignore", frozen=True)


# Converts the content of a file from one version to the next.
Upgrade = Callable[[dict[str, Any]], dict[str, Any]]


class RecordFile(Record):
    """A record that is stored in a file.

    A subclass declares ``schema_version`` as a `typing.Literal` of the version that it writes, and
    in `upgrades` how to convert files of every earlier version to the next.

    Attributes:
        upgrades: version -> function that converts the content of a file to the next version, or
            raises a `UserError`, without the file's name, if data are missing.

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
        """Read a file of the current version or of an earlier one.

        Raises:
            UserError: if the file is missing, is not JSON, lacks a key, or has an invalid value or
                schema version; the message names the file and the key.
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
        """Write the version and all values that were set, as JSON, atomically.

        Raises:
            UserError: if the file cannot be written.
        """
        write_json(path, self.content())

    def content(self) -> dict[str, Any]:
        """Return the content of the file as plain data."""
        return {"schema_version": self.schema_version, **self.model_dump(exclude_unset=True)}

    @classmethod
    def _upgraded(cls, content: Any) -> Any:
        """Convert the content of an earlier version to the current one."""
        if isinstance(content, dict) and "schema_version" not in content:
            raise UserError("schema_version: field required")
        while isinstance(content, dict):
            version = content["schema_version"]
            if type(version) is not int or version not in cls.upgrades:
                break
            content = {**cls.upgrades[version](content), "schema_version": version + 1}
        return content


def _first_mistake(error: ValidationError) -> str:
    """Return a message on the first invalid key."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "the file"
    if first["loc"] == ("schema_version",) and first["type"] == "literal_error":
        known = first["ctx"]["expected"]
        return f"{key}: is {first['input']!r}, this version of irrepress reads {known}"
    message = first["msg"][0].lower() + first["msg"][1:]
    if first["type"] in ("greater_than", "greater_than_equal", "finite_number"):
        message += f", it is {first['input']!r}"
    return f"{key}: {message}"
