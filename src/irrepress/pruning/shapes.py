"""Shapes to time: widths that separate the costs of the parts of a model.

Whole orders are cut, single widths are halved or removed, and the rest are random mixtures, as
plans are. The choice is seeded: equal models get equal shapes.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, islice

import numpy as np

from irrepress.core.groups import Group, followers, widths_of
from irrepress.core.plan import Plan

# Shares of its channels that each width key keeps in a random mixture.
_SHARES = (0.25, 0.5, 0.75, 1.0)
# How often a random mixture loses an order l > 0 at one layer.
_REMOVED = 0.1


def design_shapes(groups: Sequence[Group], count: int, seed: int) -> list[Plan]:
    """Plans of different shapes, the unpruned one first.

    Args:
        groups: the model's groups.
        count: how many shapes; there are fewer if the model has no more.
        seed: seed for single widths and mixtures.

    Returns:
        Plans that keep the first channels, because times do not depend on which ones are kept.
    """
    rng = np.random.default_rng(seed)
    shapes: dict[tuple[int, ...], dict[str, int]] = {}
    candidates = chain(
        _cuts(groups),
        islice(_single_widths(groups, rng), count // 3),
        (_mixture(groups, rng) for _ in range(10 * count)),
    )
    for widths in candidates:
        if len(shapes) == count:
            break
        shapes.setdefault(tuple(widths.values()), widths)
    return [plan_of_widths(groups, widths) for widths in shapes.values()]


def plan_of_widths(groups: Sequence[Group], widths: dict[str, int]) -> Plan:
    """Keep the first channels at given widths (width key -> channels)."""
    return Plan(
        keep={g.name: tuple(range(widths[g.width])) for g in groups},
        channels={g.name: g.channels for g in groups},
    )


def _cuts(groups: Sequence[Group]) -> Iterator[dict[str, int]]:
    """Each highest order with all channels, with half and with a quarter of them."""
    for share in (1.0, 0.5, 0.25):
        for highest in sorted({g.l for g in groups}, reverse=True):
            yield _cut(groups, _scaled(groups, dict.fromkeys(widths_of(groups), share)), highest)


def _single_widths(groups: Sequence[Group], rng: np.random.Generator) -> Iterator[dict[str, int]]:
    """One width halved or, where the architecture allows it, removed; in random order."""
    channels = [g for g in groups if g.axis in ("channel", "width")]
    changes = sorted({(g.width, share) for g in channels for share in (0.0, 0.5)})
    for index in rng.permutation(len(changes)):
        key, share = changes[index]
        yield _scaled(groups, {**dict.fromkeys(widths_of(groups), 1.0), key: share})


def _mixture(groups: Sequence[Group], rng: np.random.Generator) -> dict[str, int]:
    """Random widths below a random highest order."""
    orders = sorted({g.l for g in groups})
    # The larger a model, the more its time matters: most mixtures keep the higher orders.
    highest = orders[int(max(rng.integers(len(orders), size=2)))]
    shares = {}
    for key in widths_of(groups):
        removed = rng.random() < _REMOVED and all(g.l for g in groups if g.width == key)
        shares[key] = 0.0 if removed else float(rng.choice(_SHARES))
    widths = _cut(groups, _scaled(groups, shares), highest)
    if components := [g for g in groups if g.axis == "component"]:
        most = int(max(rng.integers(len(components) + 1, size=2)))
        widths.update({g.width: 0 for g in components if g.l > most})
    return widths


def _scaled(groups: Sequence[Group], shares: dict[str, float]) -> dict[str, int]:
    """Widths of a share each, between floor and full; orders and components stay."""
    widths: dict[str, int] = {}
    for g in groups:
        share = shares[g.width] if g.axis in ("channel", "width") else 1.0
        width = g.round_up(round(share * g.channels))
        widths[g.width] = max(width, widths.get(g.width, 0))
    for base, keys in followers(groups).items():
        widths.update({key: widths[base] if widths[key] else 0 for key in keys})
    return widths


def _cut(groups: Sequence[Group], widths: dict[str, int], highest: int) -> dict[str, int]:
    """Remove everything of an order above ``highest`` that the architecture can do without."""
    gone = {g.width for g in groups if g.l > highest and g.floor == 0}
    return {key: 0 if key in gone else width for key, width in widths.items()}
