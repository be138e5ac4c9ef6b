"""Licences and citations from a config in the records of a study.

Changing such a text does not rerun any job. Instead, the records that contain it are rewritten with
their old modification times, so that Snakemake considers them up to date.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py

from irrepress.catalogue.families import published_checkpoint
from irrepress.catalogue.model_ref import ModelRef
from irrepress.core.errors import UserError
from irrepress.core.files import atomic_path, read_json, write_json
from irrepress.data.config import Files
from irrepress.data.datasets import labelling_model_of
from irrepress.study.cards import UNKNOWN_LICENCE
from irrepress.study.config import Config
from irrepress.study.paths import StudyPaths

OF_THE_DATA = "that of the data it is trained on"
# Texts from a config in records of data.
TEXTS = ("licence", "citation")


def model_licence(reference: Any) -> str:
    """Return the licence of a model in the config (`ModelRef` or `StudyModel`), for its card."""
    if reference.licence:
        return reference.licence
    if reference.checkpoint is None:
        return OF_THE_DATA
    published = published_checkpoint(reference.family, reference.checkpoint)
    return published[1].name if published else UNKNOWN_LICENCE


def labelled_licence(licence: str, reference: ModelRef) -> str:
    """Return the licence of structures that a model of the config has labelled."""
    return f"{licence}, labels {reference.licence or 'as the labelling model'}"


def outdated(config: Config, paths: StudyPaths) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield the records whose texts differ from the config, each with the correct texts.

    Args:
        config: the config.
        paths: paths of the study's files.
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
        structures = paths.structures(name)
        if structures.is_file() and _differs(_of_store, structures, texts):
            yield structures, texts
        if (labels := labelling_model_of(dataset)) is not None:
            texts["licence"] = labelled_licence(dataset.licence, labels)
        summary = paths.summary(name)
        if summary.is_file() and _differs(_of_summary, summary, texts):
            yield summary, texts
        taught = [paths.teacher(model, name) for model in sorted(config.models)]
        for store in [paths.data(name), *taught]:
            if store.is_file() and _differs(_of_store, store, texts):
                yield store, texts


def update(path: Path, texts: dict[str, str]) -> None:
    """Rewrite a record with other texts, keeping its modification time.

    Args:
        path: path of a card, a summary of data or a store.
        texts: name -> text.

    Raises:
        UserError: if it cannot be read or written.
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
    """Return whether a record has other texts; False for invalid files, reported elsewhere."""
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
