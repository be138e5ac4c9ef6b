"""Models by path or keyword, of whichever family reads them."""

from collections.abc import Callable
from pathlib import Path

import torch

from irrepress.catalogue.families import is_path, missing_packages
from irrepress.core.errors import UserError
from irrepress.core.files import read_json
from irrepress.core.model import Model
from irrepress.core.section import NumberType
from irrepress.families import family_names, get_family
from irrepress.families.generic.file_kinds import check_kind
from irrepress.study.cards import CARD, Card, is_card, mismatch


def load_model(
    model: str,
    family: str | None = None,
    *,
    modal: str | None = None,
    licence: str | None = None,
    dtype: NumberType = "float32",
    warn: Callable[[str], None],
) -> Model:
    """Load a model, whose family is given, named by the card beside it, or found by trying.

    Args:
        model: path of a file, or a keyword of a family.
        family: name of the family; None: that of the card, or the one installed family that
            reads the model.
        modal: level of theory of a multi-modal model; None: that of the card.
        licence: licence of a published checkpoint that the user accepts, by name.
        dtype: type of the numbers that are computed with.
        warn: called with a message if the file beside the model is no card, or the card of
            another model.

    Raises:
        UserError: the file is no checkpoint, or no installed family reads it.
    """
    if is_path(model) and Path(model).exists():
        check_kind(Path(model))
    card = _card_beside(Path(model), warn)
    if card is not None:
        family, modal = family or card.family, modal or card.modal

    def load(name: str) -> Model:
        adapter = get_family(name)
        source = adapter.resolve(model, licence=licence)
        return adapter.load(source, modal=modal, dtype=getattr(torch, dtype))

    return load(family) if family is not None else _first_that_loads(model, load)


def _first_that_loads(model: str, load: Callable[[str], Model]) -> Model:
    """Try the installed families in turn."""
    # From the last to the first: fairchem alone takes seconds to import.
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
    if len(refusals) == 1:
        raise refusals[0][1]
    reasons = "; ".join(f"{name}: {error}" for name, error in refusals)
    raise UserError(f"{model}: no installed family reads it, name it by --family ({reasons})")


def _card_beside(model: Path, warn: Callable[[str], None]) -> Card | None:
    """Return the card beside a model, None if there is none; warn if it is not the model's."""
    beside = model.parent / CARD
    if not (model.is_file() and beside.is_file()):
        return None
    try:
        foreign = not is_card(read_json(beside))
    except UserError:
        foreign = True
    if foreign:
        warn(f"{beside}: not a card of irrepress, left aside")
        return None
    card = Card.load(beside)
    # Other files beside a study's model, such as an exported copy, have no card of their own.
    belongs = model.name == "model.pt" or not (model.parent / "model.pt").exists()
    if belongs and (mistake := mismatch(model, card, beside)) is not None:
        warn(mistake)
    return card
