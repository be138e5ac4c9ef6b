"""Reading of configs, with a message for every mistake."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from irrepress.core.errors import UserError, nearest
from irrepress.data.config import LABEL_TAGS
from irrepress.study.config import Config
from irrepress.study.documents import Document, Location, is_plain, meaning, word_at


def load_config(path: str | Path) -> Config:
    """Read and check a config file.

    Raises:
        UserError: if the file cannot be read, is not YAML, repeats a key or has mistakes; the
            message lists every mistake with its key, its value and the nearest valid key.
    """
    document = Document(path)
    return parse_config(document.content, str(path), [document])


def parse_config(
    content: Any, source: str = "config", documents: Sequence[Document] = ()
) -> Config:
    """Check the content of a config.

    Args:
        content: content of the YAML files.
        source: name of the config in messages.
        documents: the files, of which later ones take precedence; messages quote words from them.

    Raises:
        UserError: if there are mistakes; see `load_config`.
    """
    if not isinstance(content, dict):
        raise UserError(f"{source}: the file must contain keys such as name, datasets, models")
    found: list[str] = []
    content = _with_text_keys(content, (), documents, found, {})
    try:
        config = Config.model_validate(content)
    except ValidationError as error:
        found += [_describe(mistake, documents) for mistake in _without_others(error.errors())]
    if found:
        raise UserError("\n".join(f"{source}: {mistake}" for mistake in found))
    return config


def _with_text_keys(
    node: Any,
    location: Location,
    documents: Sequence[Document],
    found: list[str],
    done: dict[int, Any],
) -> Any:
    """Return content with string keys; add a message to ``found`` for each other key.

    Args:
        node: dictionaries, lists and plain values.
        location: location of the node.
        documents: as for `parse_config`.
        found: messages.
        done: results by id of the container, because aliases refer to the same container.
    """
    if not isinstance(node, dict | list):
        return node
    if id(node) in done:
        return done[id(node)]
    if isinstance(node, list):
        done[id(node)] = made = []
        made += [
            _with_text_keys(item, (*location, place), documents, found, done)
            for place, item in enumerate(node)
        ]
        return made
    done[id(node)] = result = {}
    for key, value in node.items():
        name = key
        if not isinstance(key, str):
            word = word_at(documents, (*location, key), key=True)
            name = word if word is not None else str(key)
            written = f" {word}" if word is not None else " (such as no, off or 7)"
            found.append(
                f"{_joined(location)}: YAML reads the name{written} as {meaning(key)}; write it in "
                f"quotes: {name!r}"
            )
        result[name] = _with_text_keys(value, (*location, name), documents, found, done)
    return result


def schema() -> dict[str, Any]:
    """Return the JSON schema of configs."""
    return Config.model_json_schema()


_WRONG_TAGS = ("union_tag_invalid", "union_tag_not_found")


def _describe(mistake: Any, documents: Sequence[Document]) -> str:
    """Return a line for a mistake found by pydantic."""
    parts, source = list(mistake["loc"]), None
    # The location includes the tag of discriminated unions, which is not a key of the file.
    if parts[:1] == ["datasets"] and mistake["type"] not in _WRONG_TAGS:
        source = next(iter(parts[2:3]), None)
        del parts[2:3]
    parts = [part for part in parts if part not in (*_OF_UNIONS, *LABEL_TAGS)]
    location = [str(part) for part in parts]
    where = ".".join(location)
    if mistake["type"] == "extra_forbidden":
        known = _known_keys(location[:-1], source)
        what = f"key of source: {source}" if source and len(location) == 3 else "key"
        return f"{where}: unknown {what}; {nearest(location[-1], known)}"
    if mistake["type"] == "missing":
        return f"{where}: this key is required"
    message = mistake["msg"].removeprefix("Value error, ")
    value = mistake.get("input")
    if mistake["type"] in ("string_type", "literal_error") and is_plain(value):
        if value is None:
            return f"{where}: it is empty (as are null and ~ in YAML); write a value"
        word = word_at(documents, tuple(parts))
        named = str(value) if word is None else word
        known = _literals(mistake) if mistake["type"] == "literal_error" else [named]
        mend = f"write it in quotes: {named!r}" if named in known else nearest(named, known)
        return f"{where}: YAML reads {named} as {meaning(value)}; {mend}"
    if mistake["type"] == "string_too_short":
        return f"{where}: it is empty; write a value"
    if mistake["type"] == "literal_error" and isinstance(value, str):
        return f"{where}: unknown value {value!r}; {nearest(value, _literals(mistake))}"
    if mistake["type"] == "int_parsing" and (number := _as_integer(value)) is not None:
        return f"{where}: YAML reads {value} as a string; write {number}"
    if mistake["type"] in ("int_parsing_size", "int_from_float") and isinstance(value, float | str):
        message = "Input should be an integer of reasonable size"
    if not where:
        return message
    if isinstance(value, bool):
        return f"{where}: {message}"
    return f"{where}: {message}" + ("" if isinstance(value, dict | list) else f" (got {value!r})")


# Entries in pydantic's locations for keys that take a string or a list, such as irreps.
_OF_UNIONS = ("list[str]", "str")


def _without_others(mistakes: Sequence[Any]) -> list[Any]:
    """Drop messages about the other type of a union if there are more specific ones."""
    stems = [m["loc"][: m["loc"].index(u)] for m in mistakes for u in _OF_UNIONS if u in m["loc"]]
    return [
        mistake
        for mistake in mistakes
        if not (
            mistake["loc"][-1:] in [(union,) for union in _OF_UNIONS]
            and mistake["loc"][-1] != _meant(mistake["input"])
            and stems.count(mistake["loc"][:-1]) > 1
        )
    ]


def _meant(value: Any) -> str:
    """Return the type of a union that a value is closest to."""
    return "list[str]" if isinstance(value, list | dict) else "str"


def _literals(mistake: Any) -> list[str]:
    """Return the valid values."""
    expected = mistake["ctx"]["expected"].replace(" or ", ", ")
    return [part.strip("'") for part in expected.split(", ")]


def _as_integer(text: Any) -> int | None:
    """Return the integer meant by a string such as ``1e3``; None if it is not an integer."""
    if not isinstance(text, str) or not re.fullmatch(r"[+-]?[\d.]+[eE][+-]?\d{1,2}", text):
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if math.isfinite(number) and number == int(number) else None


def _joined(location: Location) -> str:
    return ".".join(map(str, location)) or "the file"


def _known_keys(location: list[str], source: object = None) -> list[str]:
    """Return the known keys of the section at ``location``, a dataset's of one source."""
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
        properties = node.get("properties", {})
        if source in (None, properties.get("source", {}).get("const", source)):
            keys.update(properties)
    return sorted(keys)


def _resolve(node: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the object schemas that a schema node can refer to."""
    if "$ref" in node:
        return [definitions[node["$ref"].rsplit("/", 1)[-1]]]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in node:
            return [found for option in node[key] for found in _resolve(option, definitions)]
    return [node]
