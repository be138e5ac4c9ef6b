"""How commands print: tables for people, JSON for machines, warnings to the error stream."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from irrepress.core.terminal import encodes

console = Console()


def print_json(content: Any) -> None:
    """Print plain data as JSON, with escapes where the terminal lacks characters."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    typer.echo(text if encodes(text) else json.dumps(content, indent=2))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of texts."""
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def warn(message: str) -> None:
    """Print a warning to the error stream."""
    typer.echo(f"warning: {message}", err=True)
