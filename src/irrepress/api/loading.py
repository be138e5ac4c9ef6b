"""Loading potentials by keyword or path, of whichever family."""

import logging
from pathlib import Path

import torch

from irrepress.api.potential import Potential, plan_path
from irrepress.catalogue.families import is_path, published_checkpoint
from irrepress.core.devices import resolve_device
from irrepress.core.errors import UserError
from irrepress.core.family import MergesExperts
from irrepress.core.files import sha256
from irrepress.core.finite import require_finite
from irrepress.core.plan import Plan
from irrepress.core.section import NumberType
from irrepress.families import get_family
from irrepress.study.cards import UNKNOWN_LICENCE, Card, versions
from irrepress.study.loading import Loaded, load_model

logger = logging.getLogger(__name__)


def load(
    source: str | Path,
    *,
    family: str | None = None,
    modal: str | None = None,
    device: str = "auto",
    dtype: NumberType = "float32",
    licence: str | None = None,
    parent: Potential | str | Path | None = None,
) -> Potential:
    """Load a potential.

    Args:
        source: a keyword such as ``7net-0``, or the path of a model of any family, such as one
            that a study or `Potential.save` wrote; a card and a plan beside it are read.
        family: its family; None: it is found out.
        modal: level of theory, head or task of a model of several.
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:1``; all that is
            computed with the potential runs there.
        dtype: type of the numbers that are computed with.
        licence: licence of a published checkpoint that you accept, by name.
        parent: what a pruned potential was made from, or its path; None: what its card says, which
            is loaded when it is needed.

    Raises:
        UserError: there is no such keyword or file, it is no checkpoint, its family's package is
            missing, or a licence has to be accepted; the message says what to do.

    Example:
        >>> import irrepress
        >>> irrepress.load("7net-0", device="cpu").model.parameter_count()
        842623
    """
    name = str(source)
    target = resolve_device(device)
    loaded = load_model(
        name, family, modal=modal, licence=licence, dtype=dtype, warn=logger.warning
    )
    model = loaded.model.to(target)
    card = loaded.card or _new_card(name, loaded, licence)
    was_pruned = any(stage["stage"] == "pruned" for stage in card.stages)
    if not was_pruned and parent is not None:
        raise UserError(f"{name}: was not pruned, as far as its card says; leave the parent out")

    def find_parent() -> Potential:
        found = parent
        if not isinstance(found, Potential):
            found = load(
                found or card.checkpoint,
                modal=card.modal,
                device=str(target),
                dtype=dtype,
                licence=licence,
            )
        if found.origin.parent_sha256 != card.parent_sha256:
            raise UserError(
                f"{name}: was made from a checkpoint of SHA-256 {card.parent_sha256}, but "
                f"{parent or card.checkpoint} is of {found.origin.parent_sha256}; name the right "
                "one (parent=..., or --parent on the command line)"
            )
        return found

    return Potential(
        model,
        card,
        name=card.name,
        parent=find_parent if was_pruned else None,
        plan=_plan_beside(loaded.path) if was_pruned else None,
    )


def merge(
    source: str | Path,
    formula: str,
    *,
    family: str = "escn",
    modal: str | None = None,
    device: str = "auto",
    dtype: NumberType = "float32",
) -> Potential:
    """Load a mixture of experts, such as UMA, as the one network that it is for a composition.

    Args:
        source: path of the checkpoint.
        formula: the composition, such as ``SiO2``; for structures of another one the potential is
            wrong.
        family: its family.
        modal: task of the checkpoint, such as ``omat``.
        device: see `load`.
        dtype: see `load`.

    Raises:
        UserError: the file or the formula cannot be read, or there are no experts to merge.
    """
    adapter = get_family(family)
    if not isinstance(adapter, MergesExperts):
        raise UserError(f"{source}: models of the family {family} have no experts to merge")
    path = adapter.resolve(source)
    merged = adapter.merge_experts(path, formula, modal=modal, dtype=getattr(torch, dtype))
    loaded = Loaded(require_finite(merged, path).to(resolve_device(device)), path, None)
    stage = {"stage": "merged", "formula": formula}
    card = _new_card(str(source), loaded, None)
    return Potential(loaded.model, card, name=f"{card.name}-{formula}", stages=[(stage, 0)])


def _new_card(name: str, loaded: Loaded, licence: str | None) -> Card:
    """Return the card of a checkpoint that has none."""
    model, digest = loaded.model, sha256(loaded.path)
    family = model.family.name
    published = None if is_path(name) else published_checkpoint(family, name)
    return Card(
        name=Path(name).stem if is_path(name) else name,
        family=family,
        checkpoint=str(Path(name).resolve()) if is_path(name) else name,
        modal=model.modal,
        parent_sha256=digest,
        sha256=digest,
        licence=published[1].name if published else licence or UNKNOWN_LICENCE,
        shape=model.shape(),
        parameters=model.parameter_count(),
        stages=[],
        versions=versions(),
    )


def _plan_beside(model: Path) -> Plan | None:
    """Return the plan of a pruned model: beside it, or where a study has it."""
    beside = (plan_path(model), model.resolve().parent.parent / "plan.json")
    return next((Plan.load(path) for path in beside if path.is_file()), None)
