"""How objects of the front door look: aligned text on a terminal, tables in a notebook."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from irrepress.report import theme

if TYPE_CHECKING:
    import plotly.graph_objects as go

Row = Sequence[str]


@dataclass(frozen=True)
class Table:
    """What an object shows of itself.

    Attributes:
        title: what it is.
        rows: cells as texts.
        header: what heads their columns; empty: nothing.
        remarks: lines below.
    """

    title: str
    rows: Sequence[Row]
    header: Row = ()
    remarks: Sequence[str] = ()


class Shown(ABC):
    """Base class of objects that show themselves as a table, on a terminal and in a notebook."""

    @abstractmethod
    def _table(self) -> Table:
        """Return what is shown."""

    def __str__(self) -> str:
        table = self._table()
        shown = as_text(table.title, table.rows, table.header) if table.rows else table.title
        return "\n".join([shown, *table.remarks])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        table = self._table()
        told = "".join(f"<p>{text}</p>" for text in table.remarks)
        return as_html(table.title, table.rows, table.header) + told


def as_text(title: str, rows: Iterable[Row], header: Row = ()) -> str:
    """Return a table as text, columns aligned.

    >>> print(as_text("plan", [("parameters", "842,623"), ("cutoff", "5 Å")]))
    plan
      parameters  842,623
      cutoff      5 Å
    """
    table = [list(header), *map(list, rows)] if header else list(map(list, rows))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join([title, *lines])


def as_html(title: str, rows: Iterable[Row], header: Row = ()) -> str:
    """Return the same as a table of HTML, for notebooks."""

    def line(cells: Row, tag: str) -> str:
        inner = "".join(f'<{tag} style="text-align: left">{escape(c)}</{tag}>' for c in cells)
        return f"<tr>{inner}</tr>"

    head = line(header, "th") if header else ""
    body = "".join(line(row, "td") for row in rows)
    return f"<p><b>{escape(title)}</b></p><table>{head}{body}</table>"


def themed(figure: "go.Figure") -> "go.Figure":
    """Give a figure of the report the look of its light page."""
    return figure.update_layout(template=theme.templates()["light"])


def count(value: int | float, singular: str, plural: str = "") -> str:
    """Return a number with its noun: ``1 structure``, ``12 structures``."""
    noun = singular if value == 1 else plural or f"{singular}s"
    return f"{value:,} {noun}"


def one_line(irreps: Any) -> str:
    """Return irreps of layers as one text; see `irrepress.report.tables.format_irreps`."""
    from irrepress.report.tables import format_irreps

    return format_irreps(irreps)
