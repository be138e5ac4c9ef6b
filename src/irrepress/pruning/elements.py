"""Removal of elements that a user does not need: exact, and often most of the parameters.

In families whose weights are indexed by element, 9 of 10 parameters of a general model serve
elements that one system does not have. It is the baseline for all other compression, because it
costs no accuracy.
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
    """Return a model that knows only some elements, and the record of it for the card.

    Args:
        model: the model; it is not changed.
        elements: atomic numbers to keep, all of which the model knows.
        source: where the elements are from, for the record.

    Returns:
        The restricted model, or the same model if it knows no others or if its family cannot
        remove any, which is logged. The record holds the elements, how many were removed, and the
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
