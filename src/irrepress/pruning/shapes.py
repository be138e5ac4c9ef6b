"""Shapes to time: widths chosen so that a fit can separate the model's cost terms.

Some shapes lack entire orders, in some a single width is halved or removed, and the rest are random
mixtures that resemble plans. The same model and seed give the same shapes.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, islice

import numpy as np

from irrepress.core.groups import Group, followers, widths_of
from irrepress.core.plan import Plan

# Fractions of its channels that a width key can keep in a random mixture.
_SHARES = (0.25, 0.5, 0.75, 1.0)
# Probability that a random mixture lacks an order l > 0 in a layer.
_REMOVED = 0.1


def design_shapes(groups: Sequence[Group], count: int, seed: int) -> list[Plan]:
    """Return plans of different shapes, the unpruned one first.

    Args:
        groups: the model's groups.
        count: number of shapes; fewer are returned if the model has no more.
        seed: seed for single widths and mixtures.

    Returns:
        Plans that keep the first channels of each group; times do not depend on which are kept.
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
    """Return a plan that keeps the first channels at given widths (width key -> channels)."""
    return Plan(
        keep={g.name: tuple(range(widths[g.width])) for g in groups},
        channels={g.name: g.channels for g in groups},
    )


def _cuts(groups: Sequence[Group]) -> Iterator[dict[str, int]]:
    """Yield widths for each highest order with all, half and a quarter of the channels."""
    for share in (1.0, 0.5, 0.25):
        for highest in sorted({g.l for g in groups}, reverse=True):
            yield _cut(groups, _scaled(groups, dict.fromkeys(widths_of(groups), share)), highest)


def _single_widths(groups: Sequence[Group], rng: np.random.Generator) -> Iterator[dict[str, int]]:
    """Yield widths with one halved or, if the architecture allows it, removed, in random order."""
    channels = [g for g in groups if g.axis in ("channel", "width")]
    changes = sorted({(g.width, share) for g in channels for share in (0.0, 0.5)})
    for index in rng.permutation(len(changes)):
        key, share = changes[index]
        yield _scaled(groups, {**dict.fromkeys(widths_of(groups), 1.0), key: share})


def _mixture(groups: Sequence[Group], rng: np.random.Generator) -> dict[str, int]:
    """Return random widths below a random highest order."""
    orders = sorted({g.l for g in groups})
    # Times of larger models matter more, so most mixtures keep the higher orders.
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
    """Return widths scaled by a fraction each and rounded up; orders and components are kept."""
    widths: dict[str, int] = {}
    for g in groups:
        share = shares[g.width] if g.axis in ("channel", "width") else 1.0
        width = g.round_up(round(share * g.channels))
        widths[g.width] = max(width, widths.get(g.width, 0))
    for base, keys in followers(groups).items():
        widths.update({key: widths[base] if widths[key] else 0 for key in keys})
    return widths


def _cut(groups: Sequence[Group], widths: dict[str, int], highest: int) -> dict[str, int]:
    """Return widths without orders above ``highest``, except where the architecture needs them."""
    gone = {g.width for g in groups if g.l > highest and g.floor == 0}
    return {key: 0 if key in gone else width for key, width in widths.items()}
