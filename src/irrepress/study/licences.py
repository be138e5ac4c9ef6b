"""Texts of a config in the records of a study: licences and citations, which change no number.

A change of such a text makes nothing anew. The records that hold it are written again instead,
with their times of change as they were, so that Snakemake takes them for what they are: the
records of the same models and data.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py

from irrepress.catalogue.families import published_checkpoint
from irrepress.core.errors import UserError
from irrepress.core.files import atomic_path, read_json, write_json
from irrepress.data.config import Files
from irrepress.study.cards import UNKNOWN_LICENCE
from irrepress.study.config import Config
from irrepress.study.paths import StudyPaths

OF_THE_DATA = "that of the data it is trained on"
# What data records have of a config.
TEXTS = ("licence", "citation")


def model_licence(reference: Any) -> str:
    """Return the licence of a model of the config (`ModelRef` or `StudyModel`), for its card."""
    if reference.licence:
        return reference.licence
    if reference.checkpoint is None:
        return OF_THE_DATA
    published = published_checkpoint(reference.family, reference.checkpoint)
    return published[1].name if published else UNKNOWN_LICENCE


def outdated(config: Config, paths: StudyPaths) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield the records whose texts are not those of the config, each with the right texts.

    Args:
        config: the config.
        paths: where the files of the study lie.
    """
    for name, model in config.models.items():
        texts = {"licence": model_licence(model)}
        for card in paths.cards(name):
            if _differs(_of_card, card, texts):
                yield card, texts
    for name, dataset in config.datasets.items():
        if not isinstance(dataset, Files):
            continue
        texts = {key: getattr(dataset, key) for key in TEXTS}
        summary = paths.summary(name)
        if summary.is_file() and _differs(_of_summary, summary, texts):
            yield summary, texts
        taught = [paths.teacher(model, name) for model in sorted(config.models)]
        for store in [paths.data(name), *taught]:
            if store.is_file() and _differs(_of_store, store, texts):
                yield store, texts


def update(path: Path, texts: dict[str, str]) -> None:
    """Write a record again with other texts; its times stay.

    Args:
        path: of a card, a summary of data or a store.
        texts: the texts by their names.

    Raises:
        UserError: it cannot be read or written.
    """
    status = path.stat()
    if path.suffix == ".h5":
        with atomic_path(path) as temporary:
            shutil.copyfile(path, temporary)
            with h5py.File(temporary, "r+") as file:
                file.attrs.update(texts)
    else:
        content = read_json(path)
        (content["origin"] if "origin" in content else content).update(texts)
        write_json(path, content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _differs(read: Callable[[Path], Any], path: Path, texts: dict[str, str]) -> bool:
    """Whether a record has other texts; no for what is no record, which others tell."""
    try:
        found = read(path)
        return any(found.get(key) != text for key, text in texts.items())
    except (UserError, OSError, KeyError, AttributeError, TypeError):
        return False


def _of_card(path: Path) -> dict[str, Any]:
    return read_json(path)


def _of_summary(path: Path) -> dict[str, Any]:
    return read_json(path)["origin"]


def _of_store(path: Path) -> dict[str, Any]:
    with h5py.File(path) as file:
        return {key: file.attrs[key] for key in TEXTS}
