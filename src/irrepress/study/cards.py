"""The card beside every model: where it comes from and what was done to it."""

import importlib.metadata
import platform
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from irrepress import __version__
from irrepress.core.errors import UserError
from irrepress.core.files import read_json, sha256, write_json
from irrepress.core.records import Record, read_record

SCHEMA_VERSION = 1
# Of a checkpoint for which neither its catalogue nor the user names one.
UNKNOWN_LICENCE = "see the checkpoint's source"
# The level of theory of datasets whose config names none; two of them need not agree.
UNKNOWN_LEVEL = "unknown"
CARD = "card.json"
_PACKAGES = (
    "torch",
    "e3nn",
    "sevenn",
    "mace-torch",
    "fairchem-core",
    "lightning",
    "ase",
    "numpy",
    "h5py",
)


def _named(stage: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(stage.get("stage"), str):
        raise ValueError("a stage lacks its name, the key 'stage'")
    return stage


class Card(Record):
    """The card beside a model, as it is read: what the model is and how it came about."""

    schema_version: Literal[1]
    name: str
    family: str
    checkpoint: str
    modal: str | None = None
    parent_sha256: str
    sha256: str
    licence: str | None = None
    shape: dict[str, Any]
    parameters: Annotated[int, Field(gt=0)]
    stages: list[Annotated[dict[str, Any], AfterValidator(_named)]]
    versions: dict[str, str]
    seed: int | None = None
    created: str | None = None


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version(), "irrepress": __version__}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def parent_card(
    *,
    name: str,
    model_path: str | Path,
    family: str,
    checkpoint: str,
    checkpoint_sha256: str,
    shape: dict[str, Any],
    parameters: int,
    licence: str | None,
    modal: str | None,
    seed: int,
) -> dict[str, Any]:
    """Return the card of an uncompressed parent.

    Args:
        name: name within the study, such as ``sevennet-0/parent/original``.
        model_path: the saved model, whose SHA-256 is recorded.
        family: name of the family.
        checkpoint: keyword or path in the config.
        checkpoint_sha256: of the checkpoint's file.
        shape: what `Family.shape` returns.
        parameters: number of parameters.
        licence: licence of the weights, if known.
        modal: level of theory of a multi-modal model.
        seed: the study's seed.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "family": family,
        "checkpoint": checkpoint,
        "modal": modal,
        "parent_sha256": checkpoint_sha256,
        "sha256": sha256(model_path),
        "licence": licence or UNKNOWN_LICENCE,
        "shape": shape,
        "parameters": parameters,
        "stages": [],
        "versions": versions(),
        "seed": seed,
        "created": _now(),
    }


def derived_card(
    origin: dict[str, Any],
    *,
    name: str,
    model_path: str | Path,
    shape: dict[str, Any],
    parameters: int,
    stage: dict[str, Any],
    seed: int,
) -> dict[str, Any]:
    """Return the card of a model made from another one.

    Args:
        origin: card of the model it was made from.
        name: name within the study.
        model_path: the saved model.
        shape: what `Family.shape` returns.
        parameters: number of parameters.
        stage: what was done: key ``stage`` and whatever is needed to repeat it.
        seed: the seed of this stage.
    """
    return origin | {
        "name": name,
        "sha256": sha256(model_path),
        "shape": shape,
        "parameters": parameters,
        "stages": [*origin["stages"], stage],
        "versions": versions(),
        "seed": seed,
        "created": _now(),
    }


def write_card(path: str | Path, card: dict[str, Any]) -> None:
    """Write a card as JSON."""
    write_json(path, card)


def read_card(path: str | Path) -> dict[str, Any]:
    """Read a card.

    Raises:
        UserError: not a card, of another schema version, or without a key that cards have.
    """
    card = read_json(path)
    if not is_card(card):
        raise UserError(f"{path}: not a model card of irrepress")
    read_record(path, Card)
    return card


def trained_on(card: dict[str, Any], dataset: str, labels: str) -> bool:
    """Say whether a model has seen a dataset's labels in training, and so their references.

    Args:
        card: the model's card.
        dataset: name of the dataset.
        labels: whose labels they are, as stores and cards name them.
    """
    return any(
        stage.get("label_fraction", 1) > 0
        and (stage.get("dataset") == dataset or stage["labels"] == labels != UNKNOWN_LEVEL)
        for stage in card["stages"]
        if "labels" in stage
    )


def is_card(content: Any) -> bool:
    """Whether the content of a JSON file is a card; other programs have files of this name."""
    return isinstance(content, dict) and {"schema_version", "parent_sha256"} <= content.keys()


def check_model(path: str | Path) -> None:
    """Compare a model of a study with the SHA-256 in the card beside it.

    A file that does not change is read once in a process, however often it is checked.

    Raises:
        UserError: there is no card, or the model is another one than the card tells of.
    """
    path = Path(path)
    if (mistake := mismatch(path, read_card(path.parent / CARD), path.parent / CARD)) is not None:
        raise UserError(mistake)


def mismatch(path: str | Path, card: dict[str, Any], source: str | Path) -> str | None:
    """Say how a model's file differs from what its card tells of; None if it does not.

    Args:
        path: the model.
        card: its card.
        source: what the message calls the card, such as its path.
    """
    found = _content(*_state(Path(path)))
    if found == card["sha256"]:
        return None
    return (
        f"{path}: its SHA-256 is {found}, but {source} was written for a model of SHA-256 "
        f"{card['sha256']}: one of them was changed or replaced; bring back the model that belongs "
        "to the card, or delete both and run the workflow again"
    )


def _state(path: Path) -> tuple[Path, int, int]:
    """Path, size and time of change of a file."""
    try:
        state = path.stat()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    return path.resolve(), state.st_size, state.st_mtime_ns


@cache
def _content(path: Path, _size: int, _changed: int) -> str:
    return sha256(path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
