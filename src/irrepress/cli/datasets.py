"""Commands on datasets: those that are published, and what a store holds."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from irrepress.cli.options import JsonOption
from irrepress.cli.output import console, print_json, print_table

if TYPE_CHECKING:
    from irrepress.catalogue.entry import PublishedDataset


def summarize(
    path: Annotated[Path, typer.Argument(metavar="STORE", help="HDF5 store of a dataset.")],
    as_json: JsonOption = False,
) -> None:
    """Say what a dataset holds, and which of its structures look wrong."""
    from irrepress.data.store import StructureStore
    from irrepress.data.summary.printing import notes_of, overview, suspects_of
    from irrepress.data.summary.scan import summarize as scan

    summary = scan(StructureStore(path))
    if as_json:
        print_json(summary.model_dump(mode="json"))
        return
    print_table(str(path), ("property", "value"), overview(summary))
    if summary.notes:
        titles = ("noticed or done when it was read", "times", "first in")
        print_table("notes", titles, notes_of(summary))
    if summary.suspects:
        titles = ("looks wrong", "structures", "such as")
        print_table("suspicious structures", titles, suspects_of(summary))


def datasets(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show all that is known of one.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the published datasets that a config can name, or show one of them."""
    from irrepress.catalogue.datasets.registry import PUBLISHED, get_published

    entries = [get_published(name)] if name else list(PUBLISHED.values())
    if as_json:
        print_json([asdict(entry) for entry in entries])
    elif name is None:
        _print_list(entries)
    else:
        _print_entry(entries[0])


def _print_list(entries: "list[PublishedDataset]") -> None:
    table = Table()
    table.add_column("name", no_wrap=True)
    table.add_column("structures", justify="right", no_wrap=True)
    for title in ("labels", "level of theory", "licence"):
        table.add_column(title)
    for entry in entries:
        licence = entry.licence.name + (" (to accept)" if entry.licence.restricted else "")
        count = f"{entry.structures:,}" if entry.structures else "?"
        labels = ", ".join(entry.labels) or "none"
        table.add_row(entry.name, count, labels, entry.level_of_theory, licence)
    console.print(table)


def _print_entry(entry: "PublishedDataset") -> None:
    rows = [
        ("description", entry.description),
        ("structures", f"{entry.structures:,}" if entry.structures else "unknown"),
        ("labels", ", ".join(entry.labels) or "none"),
        ("level of theory", entry.level_of_theory),
        ("licence", f"{entry.licence.name}, {entry.licence.url} {entry.licence.terms}"),
        ("citation", entry.citation),
    ]
    for file in (*entry.files, *entry.tables):
        checksum = file.checksum or "no checksum published: that of the first download is kept"
        sources = file.urls or (f"by hand from {file.page}",)
        rows.append((file.name, "\n".join((checksum, *sources))))
    print_table(entry.name, ("property", "value"), rows)
