"""Normalization of scores, so that blocks of different layers and orders can be compared."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from irrepress.core.groups import Group
from irrepress.pruning.config import Normalization

# Criteria whose scale differs from site to site.
WITHOUT_COMMON_SCALE = ("magnitude", "activation")


def normalize(
    values: Mapping[str, np.ndarray],
    groups: Sequence[Group],
    how: Normalization,
    criterion: str,
) -> dict[str, np.ndarray]:
    """Divide scores by their mean over parts of the network.

    Groups of different axes are never averaged together: an order of the spherical-harmonics
    filter, for example, belongs to all layers.

    Args:
        values: group name -> raw scores, ``[channels]``; they are not changed.
        groups: the model's groups.
        how: what to average over: the ``group``, all blocks of the ``layer``, or all blocks of the
            ``order`` l; ``none`` leaves scores unchanged. ``auto`` is ``group`` for criteria
            without a common scale across sites (magnitude and activation), and ``none`` for others.
        criterion: the criterion that the scores belong to.
    """
    if how == "auto":
        how = "group" if criterion in WITHOUT_COMMON_SCALE else "none"
    if how == "none":
        return dict(values)
    parts: dict[Hashable, list[str]] = {}
    for group in groups:
        key = {"group": group.name, "layer": group.layer, "order": group.l}[how]
        parts.setdefault((group.axis, key), []).append(group.name)
    result = {}
    for names in parts.values():
        mean = np.concatenate([values[name] for name in names]).mean()
        for name in names:
            result[name] = values[name] / max(mean, 1e-30)
    return result
