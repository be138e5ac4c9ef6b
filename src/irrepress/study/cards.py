"""The card beside every model, which records its provenance."""

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field

from irrepress import __version__
from irrepress.core.errors import UserError
from irrepress.core.files import read_json, sha256
from irrepress.core.records import RecordFile

# Licence of checkpoints for which neither the catalogue nor the user gives one.
UNKNOWN_LICENCE = "see the checkpoint's source"
# Level of theory of datasets whose config gives none; two such datasets may differ.
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
        raise ValueError("a stage lacks the key 'stage', its name")
    return stage


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version(), "irrepress": __version__}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


class Card(RecordFile):
    """The provenance of a model, stored beside it as ``card.json``.

    Unknown keys of a file are kept.

    Attributes:
        schema_version: version of the file.
        name: name within the study, such as ``sevennet-0/parent/original``.
        family: name of the family.
        checkpoint: keyword or path in the config.
        modal: level of theory of a multi-modal model.
        parent_sha256: SHA-256 of the checkpoint's file.
        sha256: SHA-256 of the model's file.
        licence: licence of the weights.
        shape: result of `Model.shape`.
        parameters: number of parameters.
        stages: the stages in order: their name (key ``stage``) and everything needed to repeat
            them.
        versions: versions of Python and of the packages that results depend on.
        seed: seed of the last stage.
        created: time of writing in ISO 8601.
        validation: how the model's validation beside its parent went: whether it ``passed``, a
            ``summary``, what it was compared ``against``, what ``failed`` and what was
            ``not_done``; None if there was none.

    Example:
        >>> import tempfile
        >>> model = Path(tempfile.mkdtemp()) / "model.pt"
        >>> _ = model.write_bytes(b"weights")
        >>> parent = Card.of_parent(
        ...     model, name="m/parent/original", family="sevennet", checkpoint="7net-0",
        ...     checkpoint_sha256=64 * "0", shape={}, parameters=842623, licence="GPL-3.0", seed=1,
        ... )
        >>> card = parent.derive(
        ...     model, name="m/half/pruned", shape={}, parameters=400000,
        ...     stage={"stage": "pruned"}, seed=1,
        ... )
        >>> card.save(model.parent / CARD)
        >>> Card.load(model.parent / CARD).stages
        [{'stage': 'pruned'}]
    """

    model_config = ConfigDict(extra="allow")

    schema_version: Literal[1] = 1
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
    validation: dict[str, Any] | None = None

    @classmethod
    def of_parent(
        cls,
        model_path: str | Path,
        *,
        name: str,
        family: str,
        checkpoint: str,
        checkpoint_sha256: str,
        shape: dict[str, Any],
        parameters: int,
        licence: str | None,
        seed: int,
        modal: str | None = None,
        stages: Sequence[dict[str, Any]] = (),
    ) -> Self:
        """Return the card of an unpruned parent.

        Args:
            model_path: the saved model, whose SHA-256 is recorded.
            name: name within the study.
            family: name of the family.
            checkpoint: keyword or path in the config.
            checkpoint_sha256: SHA-256 of the checkpoint's file.
            shape: result of `Model.shape`.
            parameters: number of parameters.
            licence: licence of the weights, if known.
            seed: the study's seed.
            modal: level of theory of a multi-modal model.
            stages: stages that the checkpoint has already gone through.
        """
        return cls(
            name=name,
            family=family,
            checkpoint=checkpoint,
            modal=modal,
            parent_sha256=checkpoint_sha256,
            sha256=sha256(model_path),
            licence=licence or UNKNOWN_LICENCE,
            shape=shape,
            parameters=parameters,
            stages=list(stages),
            versions=versions(),
            seed=seed,
            created=_now(),
        )

    def derive(
        self,
        model_path: str | Path,
        *,
        name: str,
        shape: dict[str, Any],
        parameters: int,
        stage: dict[str, Any],
        seed: int,
    ) -> Self:
        """Return the card of a model made from this one.

        Args:
            model_path: the saved model.
            name: name within the study.
            shape: result of `Model.shape`.
            parameters: number of parameters.
            stage: the stage: its name (key ``stage``) and everything needed to repeat it.
            seed: the seed of this stage.
        """
        # What was measured of the model that it was made from says nothing of this one.
        unmarked = self.model_validate(self.model_dump(exclude_unset=True, exclude={"validation"}))
        return unmarked.model_copy(
            update={
                "name": name,
                "sha256": sha256(model_path),
                "shape": shape,
                "parameters": parameters,
                "stages": [*self.stages, stage],
                "versions": versions(),
                "seed": seed,
                "created": _now(),
            }
        )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a card.

        Raises:
            UserError: if the file is not a card, has an unknown schema version or lacks a key.
        """
        if not is_card(read_json(path)):
            raise UserError(f"{path}: not a model card of irrepress")
        return super().load(path)

    def trained_on(self, dataset: str, labels: str) -> bool:
        """Return whether the model was trained on a dataset's labels or their level of theory.

        Args:
            dataset: name of the dataset.
            labels: origin of the labels, as in stores and cards.
        """
        return any(
            stage.get("label_fraction", 1) > 0
            and (stage.get("dataset") == dataset or stage["labels"] == labels != UNKNOWN_LEVEL)
            for stage in self.stages
            if "labels" in stage
        )


def card_path(model: str | Path) -> Path:
    """Return where the card of a model is written: beside it, under a name of its own.

    Models of a study are alone in their folders, and so are their cards.

    >>> card_path("results/a/b/pruned/model.pt").name, card_path("small.pt").name
    ('card.json', 'small.card.json')
    """
    model = Path(model)
    return model.with_name(CARD) if model.name == "model.pt" else model.with_suffix(f".{CARD}")


def mark_validated(path: str | Path, mark: dict[str, Any]) -> None:
    """Write into a card how the validation of its model went, keeping its modification time.

    Args:
        path: path of the card.
        mark: result of `irrepress.evaluation.physics.verdicts.Validated.mark`.

    Raises:
        UserError: if it cannot be read or written.
    """
    path = Path(path)
    status = path.stat()
    Card.load(path).model_copy(update={"validation": mark}).save(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def is_card(content: Any) -> bool:
    """Return whether the content of a JSON file is a card; other programs use the same name."""
    return isinstance(content, dict) and {"schema_version", "parent_sha256"} <= content.keys()


def check_model(path: str | Path) -> None:
    """Check a model's file against the SHA-256 in the card beside it.

    An unchanged file is read only once per process.

    Raises:
        UserError: if there is no card, or it belongs to another model.
    """
    path = Path(path)
    if (mistake := mismatch(path, Card.load(path.parent / CARD), path.parent / CARD)) is not None:
        raise UserError(mistake)


def mismatch(path: str | Path, card: Card, source: str | Path) -> str | None:
    """Return a message if a model's file does not match its card, otherwise None.

    Args:
        path: the model.
        card: its card.
        source: name of the card in the message, such as its path.
    """
    found = _content(*_state(Path(path)))
    if found == card.sha256:
        return None
    return (
        f"{path}: its SHA-256 is {found}, but {source} was written for a model of SHA-256 "
        f"{card.sha256}: one of them was changed or replaced; restore the model that belongs to "
        "the card, or delete both and run the workflow again"
    )


def _state(path: Path) -> tuple[Path, int, int]:
    """Return path, size and modification time of a file."""
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
