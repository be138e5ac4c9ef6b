"""The card beside every model: where it comes from and what was done to it."""

import importlib.metadata
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from irrepress import __version__
from irrepress.errors import UserError
from irrepress.files import read_json, sha256, write_json

SCHEMA_VERSION = 1
# The level of theory of datasets whose config names none; two of them need not agree.
UNKNOWN_LEVEL = "unknown"
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
        "licence": licence or "see the checkpoint's source",
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
        UserError: not a card, or of another schema version.
    """
    card = read_json(path)
    if not isinstance(card, dict) or card.get("schema_version") != SCHEMA_VERSION:
        raise UserError(f"{path}: not a model card of schema version {SCHEMA_VERSION}")
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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
