"""Loading of models by path or keyword, for any family."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from irrepress.catalogue.families import family_of_keyword, is_path, missing_packages
from irrepress.core.errors import UserError
from irrepress.core.files import read_json
from irrepress.core.model import Model
from irrepress.core.section import NumberType
from irrepress.families import family_names, get_family
from irrepress.families.generic.file_kinds import check_kind
from irrepress.study.cards import CARD, Card, card_path, is_card, mismatch


@dataclass(frozen=True)
class Loaded:
    """A model that was loaded.

    Attributes:
        model: the model, on the CPU.
        path: its file.
        card: the card beside it; None if it has none.

    Example:
        >>> loaded = load_model("7net-0", "sevennet", warn=print)
        >>> loaded.model.family.name, loaded.card
        ('sevennet', None)
    """

    model: Model
    path: Path
    card: Card | None


def load_model(
    model: str,
    family: str | None = None,
    *,
    modal: str | None = None,
    licence: str | None = None,
    dtype: NumberType = "float32",
    warn: Callable[[str], None],
) -> Loaded:
    """Load a model; its family may be given, read from the card beside it, or detected.

    Args:
        model: path of a file, or keyword of a family.
        family: name of the family; None: that in the card, or the first installed family that can
            read the model.
        modal: level of theory of a multi-modal model; None: that in the card.
        licence: name of the licence of a published checkpoint that the user accepts.
        dtype: floating-point type of the parameters.
        warn: called with a message if the file beside the model is not a card, or belongs to
            another model.

    Raises:
        UserError: if the file is not a checkpoint or no installed family can read it.
    """
    is_file = is_path(model) and Path(model).exists()
    if is_file:
        check_kind(Path(model))
    card = _card_beside(Path(model), warn)
    if card is not None:
        family, modal = family or card.family, modal or card.modal
    if family is None and not is_path(model):
        family = family_of_keyword(model)
    if family is None and not is_file:
        raise UserError(f"{model}: there is no such file; write the path of a model's file")

    def load(name: str) -> Loaded:
        adapter = get_family(name)
        path = adapter.resolve(model, licence=licence)
        return Loaded(adapter.load(path, modal=modal, dtype=getattr(torch, dtype)), path, card)

    return load(family) if family is not None else _first_that_loads(model, load)


def _first_that_loads(model: str, load: Callable[[str], Loaded]) -> Loaded:
    """Try the installed families in turn."""
    # In reverse order, because importing fairchem takes seconds.
    installed = [name for name in reversed(family_names()) if not missing_packages(name)]
    if not installed:
        raise UserError(
            f"no family of models is installed in this Python; known: {family_names()}. Install "
            "one with: pip install 'irrepress[sevennet]'"
        )
    refusals = []
    for name in installed:
        try:
            return load(name)
        except UserError as error:
            refusals.append((name, error))
    absent = [name for name in family_names() if name not in installed]
    if len(refusals) == 1 and not absent:
        raise refusals[0][1]
    reasons = "; ".join(f"{name}: {error}" for name, error in refusals)
    mend = "name its family"
    if absent:
        commands = " or ".join(f"pip install 'irrepress[{name}]'" for name in absent)
        mend += f", or install the one that it belongs to ({commands})"
    raise UserError(f"{model}: no installed family reads it; {mend}. {reasons}")


def _card_beside(model: Path, warn: Callable[[str], None]) -> Card | None:
    """Return the card beside a model, None if there is none; warn if it does not match."""
    own = card_path(model)
    beside = own if own.is_file() else model.with_name(CARD)
    if not (model.is_file() and beside.is_file()):
        return None
    try:
        foreign = not is_card(read_json(beside))
    except UserError:
        foreign = True
    if foreign:
        warn(f"{beside}: ignored, as it is not a card of irrepress")
        return None
    card = Card.load(beside)
    # Other files beside a study's model, such as an exported copy, have no card.
    belongs = beside == own or not (model.parent / "model.pt").exists()
    if belongs and (mistake := mismatch(model, card, beside)) is not None:
        warn(mistake)
    return card
