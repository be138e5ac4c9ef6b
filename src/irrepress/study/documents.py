"""YAML documents of configs, with the words as they were written.

YAML 1.1 interprets plain words in surprising ways: ``off`` and ``NO`` are false, ``1e-3`` is a
string, ``2024-01-01`` a date; and if a key occurs twice, the last one silently wins. A `Document`
rejects repeated keys and keeps the words as they were written, for messages.
"""

import datetime
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from irrepress.core.errors import UserError

Location = tuple[str | int, ...]

_MERGE = "tag:yaml.org,2002:merge"
_TEXT = "tag:yaml.org,2002:str"


class Document:
    """A YAML (or JSON) file with its content.

    Attributes:
        path: the file.
        content: the content as plain Python types.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "config.yaml"
        >>> _ = path.write_text("compress: off")
        >>> document = Document(path)
        >>> document.content, document.word(("compress",))
        ({'compress': False}, 'off')
    """

    def __init__(self, path: str | Path):
        """Read a file.

        Raises:
            UserError: if the file cannot be read or is not YAML, a key occurs twice in a mapping,
                or a number has an unexpected base.
        """
        self.path = Path(path)
        self._root: yaml.Node | None = None
        try:
            text = self.path.read_text(encoding="utf-8")
            self.content = self._read(text)
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        except _Misleading as error:
            raise UserError(f"{path}: {error}") from None
        # Numbers with thousands of digits and dates such as 2024-13-01 raise ValueError.
        except (yaml.YAMLError, ValueError) as error:
            raise UserError(f"{path}: not a YAML file ({error})") from error
        except RecursionError as error:
            raise UserError(f"{path}: not a YAML file (it is nested too deeply)") from error

    def _read(self, text: str) -> Any:
        """Read JSON or YAML, as Snakemake does."""
        if text.lstrip().startswith("{"):
            try:
                return _read_json(text)
            except ValueError:
                pass
        loader = _Loader(text)
        self._root = loader.get_single_node()
        return None if self._root is None else loader.construct_document(self._root)

    def word(self, location: Location, key: bool = False) -> str | None:
        """Return the word at a location, as it was written.

        Args:
            location: keys and list indices in the content.
            key: whether to return the last key itself instead of its value.

        Returns:
            The word; None if there is nothing or not a single word.
        """
        nodes = [self._root] if self._root else []
        for depth, part in enumerate(location):
            entries = [entry for node in nodes for entry in self._entries(node)]
            found = [(k, v) for k, v in entries if self._is(k, part)]
            if key and depth == len(location) - 1:
                nodes = [k for k, _ in found if isinstance(k, yaml.Node)]
            else:
                nodes = [v for _, v in found]
        return next((n.value for n in nodes if isinstance(n, yaml.ScalarNode)), None)

    def _entries(self, node: yaml.Node) -> list[tuple[yaml.Node | int, yaml.Node]]:
        """Return the entries of a node; merged ones (``<<``) come after its own."""
        if isinstance(node, yaml.SequenceNode):
            return list(enumerate(node.value))
        if not isinstance(node, yaml.MappingNode):
            return []
        own = [(key, value) for key, value in node.value if key.tag != _MERGE]
        for key, value in node.value:
            if key.tag == _MERGE:
                for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    own += self._entries(source)
        return own

    def _is(self, key: yaml.Node | int, part: str | int) -> bool:
        """Return whether a key of the file matches a part of a location."""
        if isinstance(key, int):
            return key == part
        if not isinstance(key, yaml.ScalarNode):
            return False
        # Keys that YAML does not read as strings are compared by their parsed value.
        return key.value == part or (
            key.tag != _TEXT and str(_Loader("").construct_object(key)) == str(part)
        )


def word_at(documents: Sequence[Document], location: Location, key: bool = False) -> str | None:
    """Return the word at a location of the last document that has one; see `Document.word`."""
    found = (document.word(location, key) for document in reversed(documents))
    return next((word for word in found if word is not None), None)


def meaning(value: Any) -> str:
    """Return what YAML reads a plain word as, for messages: ``false``, ``a number``, ``a date``."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime.date):
        return "a date"
    return "a number" if isinstance(value, int | float) else f"a {type(value).__name__}"


def is_plain(value: Any) -> bool:
    """Return whether a value results from a plain word that YAML does not read as a string."""
    return value is None or isinstance(value, bool | int | float | datetime.date)


class _Misleading(Exception):
    """The file would be read differently from what it seems to say."""


# Octal and base-60 numbers, which YAML 1.1 supports.
_OTHER_BASE = re.compile(r"[-+]?(0[0-7_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, which rejects misleading input.

    That is, keys that occur twice in a mapping, and numbers with an unexpected base.
    """

    def compose_scalar_node(self, anchor: str | None) -> yaml.ScalarNode:
        """Compose a scalar."""
        node: yaml.ScalarNode = super().compose_scalar_node(anchor)
        if node.tag != _TEXT and node.style is None and _OTHER_BASE.fullmatch(node.value):
            number = self.construct_object(node)
            raise _Misleading(
                f"line {node.start_mark.line + 1}: YAML reads {node.value} as the number {number}; "
                f"write {number}, or {node.value!r} in quotes if it is a string"
            )
        return node

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        """Compose a mapping as written, before keys are merged into it."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            name, line = (key.tag, key.value), key.start_mark.line + 1
            if name in lines:
                where = f"in line {line}" if lines[name] == line else f"lines {lines[name]}, {line}"
                raise _Misleading(
                    f"the key {key.value!r} occurs twice ({where}), and only the last would count; "
                    "remove one"
                )
            lines[name] = line
        return node


def _read_json(text: str) -> Any:
    """Return the content of a JSON file; raise ValueError if it is not JSON."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise _Misleading(
                f"the key {twice!r} occurs twice in one object, and only the last would count; "
                "remove one"
            )
        return content

    return json.loads(text, object_pairs_hook=unique)
