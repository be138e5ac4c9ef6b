"""YAML as a config is written in: what each key says, and where it stands.

YAML 1.1 reads more into plain words than most people know: ``off`` and ``NO`` are false, ``1e-3``
is a text, ``2024-01-01`` a date; and of a key that occurs twice the last one counts, silently. A
`Document` refuses the latter and remembers the words as they were written, for messages.
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
    """A YAML (or JSON) file with what it says.

    Attributes:
        path: the file.
        content: what it holds, as plain Python types.
    """

    def __init__(self, path: str | Path):
        """Read a file.

        Raises:
            UserError: not readable, not YAML, a key occurs twice in one place, or a number is to
                another base than it seems.
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
        # Numbers of thousands of digits and dates such as 2024-13-01 are ValueErrors.
        except (yaml.YAMLError, ValueError) as error:
            raise UserError(f"{path}: not a YAML file ({error})") from error
        except RecursionError as error:
            raise UserError(f"{path}: not a YAML file (it is nested too deeply)") from error

    def _read(self, text: str) -> Any:
        """Read JSON or else YAML, as Snakemake does."""
        if text.lstrip().startswith("{"):
            try:
                return _read_json(text)
            except ValueError:
                pass
        loader = _Loader(text)
        self._root = loader.get_single_node()
        return None if self._root is None else loader.construct_document(self._root)

    def word(self, location: Location, key: bool = False) -> str | None:
        """Return the word that stands at a location, as it was written.

        Args:
            location: keys and places in lists, as the content has them.
            key: whether the last key itself is asked for and not its value.

        Returns:
            The word; None if there is nothing, or no single word.
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
        """Return what a node holds; what it merges (``<<``) comes after its own."""
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
        """Whether a key of the file is that of a location, where keys are texts or places."""
        if isinstance(key, int):
            return key == part
        if not isinstance(key, yaml.ScalarNode):
            return False
        # Keys that YAML does not read as texts are known by what it reads them as.
        return key.value == part or (
            key.tag != _TEXT and str(_Loader("").construct_object(key)) == str(part)
        )


def word_at(documents: Sequence[Document], location: Location, key: bool = False) -> str | None:
    """Return the word at a location of the last document that has one; see `Document.word`."""
    found = (document.word(location, key) for document in reversed(documents))
    return next((word for word in found if word is not None), None)


def meaning(value: Any) -> str:
    """Return what YAML made of a plain word, for messages: ``false``, ``a number``, ``a date``."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime.date):
        return "a date"
    return "a number" if isinstance(value, int | float) else f"a {type(value).__name__}"


def is_plain(value: Any) -> bool:
    """Whether a value is what YAML makes of a plain word that it does not take for a text."""
    return value is None or isinstance(value, bool | int | float | datetime.date)


class _Misleading(Exception):
    """What is written is not what would be read."""


# Octal numbers and numbers to the base 60, which YAML 1.1 knows.
_OTHER_BASE = re.compile(r"[-+]?(0[0-7_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, which refuses what misleads its reader.

    That is a key that occurs twice in one mapping, and numbers to another base than they seem.
    """

    def compose_scalar_node(self, anchor: str | None) -> yaml.ScalarNode:
        """Compose a word."""
        node: yaml.ScalarNode = super().compose_scalar_node(anchor)
        if node.tag != _TEXT and node.style is None and _OTHER_BASE.fullmatch(node.value):
            number = self.construct_object(node)
            raise _Misleading(
                f"line {node.start_mark.line + 1}: YAML reads {node.value} as the number {number}; "
                f"write {number}, or {node.value!r} in quotes if it is a text"
            )
        return node

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        """Compose a mapping as it is written, before merged keys enter it."""
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
    """Return the content of a JSON file; raise ValueError if it is none."""

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
