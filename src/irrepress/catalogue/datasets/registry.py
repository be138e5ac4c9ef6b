"""All published datasets by name."""

from irrepress.catalogue.datasets.inorganic import INORGANIC
from irrepress.catalogue.datasets.materials import MATERIALS
from irrepress.catalogue.datasets.organic import ORGANIC
from irrepress.catalogue.entry import PublishedDataset, RemoteFile
from irrepress.core.errors import UserError, nearest

PUBLISHED: dict[str, PublishedDataset] = {
    entry.name: entry for entry in (*MATERIALS, *ORGANIC, *INORGANIC)
}


def get_published(name: str) -> PublishedDataset:
    """Return the entry of a published dataset.

    Raises:
        UserError: if there is none of this name.
    """
    if name not in PUBLISHED:
        raise UserError(
            f"name: no published dataset is called {name!r}; {nearest(name, PUBLISHED)}"
        )
    return PUBLISHED[name]


def get_file(collection: str, name: str) -> RemoteFile:
    """Return a file of a collection.

    Raises:
        UserError: if there is no such collection, or it has no such file.
    """
    files = {
        file.name: file
        for entry in PUBLISHED.values()
        if entry.collection == collection
        for file in (*entry.files, *entry.tables)
    }
    if not files:
        collections = {entry.collection for entry in PUBLISHED.values()}
        raise UserError(
            f"no collection of published datasets is called {collection!r}; "
            f"{nearest(collection, collections)}"
        )
    if name not in files:
        raise UserError(f"{collection}: has no file {name!r}; {nearest(name, files)}")
    return files[name]


def check_licence(entry: PublishedDataset, accepted: str | None) -> None:
    """Check that a restrictive licence was accepted by name.

    Args:
        entry: the dataset.
        accepted: name of the licence that the user accepts, if any.

    Raises:
        UserError: if it was not; the message shows the terms.
    """
    licence = entry.licence
    if licence.restricted and accepted != licence.name:
        raise UserError(
            f"accept_licence: {entry.name} is under a licence that restricts its use. "
            f"{licence.name}: {licence.terms} Read {licence.url} and, if you accept it, set "
            f"accept_licence: {licence.name!r}"
            f"{'' if accepted is None else f' (it is {accepted!r})'}"
        )
