"""Reading a config: one message for every mistake."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from irrepress.config.study import Config
from irrepress.errors import UserError, nearest


def load_config(path: str | Path) -> Config:
    """Read and check a configuration file.

    Raises:
        UserError: not readable, not YAML, or wrong; the message lists every mistake with its
            key, its value and the nearest right key.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a YAML file ({error})") from error
    return parse_config(content, str(path))


def parse_config(content: Any, source: str = "config") -> Config:
    """Check the content of a configuration.

    Args:
        content: what the YAML file holds.
        source: what messages call it.

    Raises:
        UserError: as in `load_config`.
    """
    if not isinstance(content, dict):
        raise UserError(f"{source}: the file must hold keys such as name, datasets, models")
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        lines = [_describe(mistake) for mistake in error.errors()]
        raise UserError(f"{source}: " + f"\n{source}: ".join(lines)) from None


def schema() -> dict[str, Any]:
    """Return the JSON schema of the configuration."""
    return Config.model_json_schema()


_WRONG_TAGS = ("union_tag_invalid", "union_tag_not_found")


def _describe(mistake: Any) -> str:
    """Return one line for a mistake that pydantic found."""
    location = [str(part) for part in mistake["loc"]]
    # Discriminated unions put the tag into the location; it is not a key of the file.
    if location[:1] == ["datasets"] and mistake["type"] not in _WRONG_TAGS:
        del location[2:3]
    where = ".".join(location)
    if mistake["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        return f"{where}: unknown key; {nearest(location[-1], known)}"
    if mistake["type"] == "missing":
        return f"{where}: this key is needed"
    message = mistake["msg"].removeprefix("Value error, ")
    value = mistake.get("input")
    if mistake["type"] == "literal_error" and isinstance(value, str):
        known = [
            part.strip("'") for part in mistake["ctx"]["expected"].replace(" or ", ", ").split(", ")
        ]
        return f"{where}: unknown value {value!r}; {nearest(value, known)}"
    if not where:
        return message
    return f"{where}: {message}" + ("" if isinstance(value, dict | list) else f" (got {value!r})")


def _known_keys(location: list[str]) -> list[str]:
    """Return the keys that are known in the section at ``location``."""
    definitions = schema()["$defs"]
    node: dict[str, Any] = schema()
    keys: set[str] = set()
    nodes = [node]
    for part in location:
        following = []
        for node in nodes:
            if part in node.get("properties", {}):
                following += _resolve(node["properties"][part], definitions)
            elif "patternProperties" in node:
                for value in node["patternProperties"].values():
                    following += _resolve(value, definitions)
            elif isinstance(node.get("additionalProperties"), dict):
                following += _resolve(node["additionalProperties"], definitions)
        nodes = following
    for node in nodes:
        keys.update(node.get("properties", {}))
    return sorted(keys)


def _resolve(node: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the object schemas that a schema node can stand for."""
    if "$ref" in node:
        return [definitions[node["$ref"].rsplit("/", 1)[-1]]]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in node:
            return [found for option in node[key] for found in _resolve(option, definitions)]
    return [node]
