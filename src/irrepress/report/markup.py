"""Tables of the page: formatted columns of frames, with values to sort by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from irrepress.report.text import NO_VALUE, number


@dataclass(frozen=True)
class Column:
    """The head of a column: its name and, on a line of its own, its unit."""

    name: str
    unit: str
    numeric: bool


@dataclass(frozen=True)
class Cell:
    """Text of a cell and the value that it is sorted by."""

    text: str
    sort: str


@dataclass(frozen=True)
class Table:
    """A table as the page shows it.

    Attributes:
        name: identifier.
        caption: explanation of the rows and numbers.
        columns: heads.
        rows: cells of every row, and whether the row stands out.
        csv: file beside the page with all columns, if there is one.
    """

    name: str
    caption: str
    columns: list[Column]
    rows: list[tuple[list[Cell], bool]]
    csv: str | None = None


def make_table(
    name: str,
    caption: str,
    frame: pd.DataFrame,
    columns: Sequence[str],
    *,
    csv: str | None = None,
    titles: Mapping[str, str] | None = None,
    marked: pd.Series | None = None,
) -> Table:
    """Choose and format columns of a frame.

    Args:
        name: identifier.
        caption: see `Table`.
        frame: the data.
        columns: which columns to show, in order; those with no value at all are left out, and
            so is a column ``model`` with only one model.
        csv: see `Table`.
        titles: other names for columns, unit included.
        marked: rows that stand out.
    """
    titles = titles or {}
    shown = [c for c in columns if c in frame and frame[c].notna().any()]
    if "model" in shown and frame["model"].nunique() == 1:
        shown.remove("model")
    numeric = {c: pd.api.types.is_numeric_dtype(frame[c]) for c in shown}
    heads = []
    for column in shown:
        title, _, unit = titles.get(column, column).partition(" [")
        heads.append(Column(title, unit.removesuffix("]"), numeric[column]))
    marks = [False] * len(frame) if marked is None else marked.tolist()
    rows = [
        ([_cell(row[c], numeric[c], c) for c in shown], mark)
        for (_, row), mark in zip(frame.iterrows(), marks, strict=True)
    ]
    return Table(name, caption, heads, rows, csv)


def _cell(value: object, numeric: bool, column: str) -> Cell:
    if value is None or pd.isna(value):
        return Cell(NO_VALUE, "")
    if not numeric:
        return Cell(str(value), str(value))
    assert isinstance(value, int | float)
    if column.endswith("[%]"):
        text = f"{value:.1f}"
    else:
        text = f"{value:,}" if isinstance(value, int) else number(value)
    return Cell(text, repr(float(value)))
