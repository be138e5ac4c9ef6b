"""Removal of elements that a user does not need, which is exact.

In families whose weights are indexed by element, up to nine tenths of a general model's parameters
belong to elements that a given system lacks. As it costs no accuracy, it is the baseline for all
other compression.
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
    """Return a model restricted to some elements, and a record of it for the card.

    Args:
        model: the model; it is not changed.
        elements: atomic numbers to keep; the model must know all of them.
        source: origin of the elements, for the record.

    Returns:
        The restricted model, or the same model if it knows no other elements or its family cannot
        remove any; the latter is logged. The record holds the elements, the number removed, and the
        number of parameters before.
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
            "models of the family %s cannot be restricted to fewer elements: the model keeps all "
            "%d, while %s has %d",
            *(model.family.name, len(model.elements), source, len(wanted)),
        )
        return model, record
    small = model.restrict_elements(wanted)
    logger.info(
        "restricted to the %d elements of %s: %d of %d parameters are left, with no loss of "
        "accuracy",
        *(len(wanted), source, small.parameter_count(), model.parameter_count()),
    )
    return small, record | {
        "elements": [chemical_symbols[z] for z in wanted],
        "left_out": len(dropped),
    }
