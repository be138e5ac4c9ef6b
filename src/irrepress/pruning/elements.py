"""Leaving out the elements that a user does not need: nothing is lost, and often most parameters.

In families whose weights are indexed by element, 9 of 10 parameters of a general model serve
elements that one system does not have. Whatever else is done to a model is to be compared with
this, which costs nothing.
"""

import logging
from collections.abc import Iterable
from typing import Any

from ase.data import chemical_symbols

from irrepress.core.family import RestrictsElements
from irrepress.core.model import Model

logger = logging.getLogger(__name__)


def keep_elements(
    model: Model, elements: Iterable[int], source: str
) -> tuple[Model, dict[str, Any]]:
    """Return a model that knows some elements only, and the record of it for the card.

    Args:
        model: the model; it is not changed.
        elements: atomic numbers to keep, all of which the model knows.
        source: what the elements are those of, for the record.

    Returns:
        The restricted model, or the same model where it knows no others or where its family
        cannot leave any out, which the log says. The record tells elements, how many were left
        out, and the number of parameters before.
    """
    wanted = sorted(set(map(int, elements)))
    dropped = set(model.elements) - set(wanted)
    record: dict[str, Any] = {
        "stage": "restricted",
        "of": source,
        "elements": [chemical_symbols[z] for z in model.elements],
        "left_out": 0,
        "parameters_before": model.parameter_count(),
    }
    if not dropped:
        return model, record
    if not isinstance(model.family, RestrictsElements):
        logger.warning(
            "models of the family %s cannot leave out elements: the model keeps all %d, where %s "
            "has %d",
            *(model.family.name, len(model.elements), source, len(wanted)),
        )
        return model, record
    small = model.restrict_elements(wanted)
    logger.info(
        "restricted to the %d elements of %s: %d of %d parameters are left, and nothing is lost",
        *(len(wanted), source, small.parameter_count(), model.parameter_count()),
    )
    return small, record | {
        "elements": [chemical_symbols[z] for z in wanted],
        "left_out": len(dropped),
    }
