"""Rounding a plan to what fairchem's constructor holds."""

from irrepress.core.groups import Group
from irrepress.families.escn.architecture import Architecture
from irrepress.families.escn.gates import make_groups
from irrepress.families.escn.layout import component, order
from irrepress.families.generic.rounding import Keep, fill, grow


def round_plan(architecture: Architecture, keep: Keep) -> list[str]:
    """Change what is kept to what can be built, in place; see `DescribedFamily.round_plan`.

    fairchem has one number of sphere channels, of hidden channels and of edge channels. Where
    groups of one kind keep different numbers, the smaller ones grow: nothing that the plan keeps
    is lost.
    """
    groups = make_groups(architecture)
    messages = _fill_orders(architecture, keep)
    by_width: dict[str, list[Group]] = {}
    for group in groups:
        if group.axis == "channel":
            by_width.setdefault(group.width, []).append(group)
    for width, tied in by_width.items():
        messages += _equalize(width, tied, keep)
    return messages


def _fill_orders(architecture: Architecture, keep: Keep) -> list[str]:
    """Keep orders and components below the highest that is kept; no component above it."""
    highest = max(
        (degree for degree in range(architecture.lmax + 1) if keep[order(degree)]), default=0
    )
    components = range(1, architecture.mmax + 1)
    most = max((m for m in components if keep[component(m)] and m <= highest), default=0)
    orders, lower = map(order, range(highest + 1)), map(component, range(1, most))
    changed = fill(keep, orders, f"features hold all orders up to {highest}")
    changed += fill(keep, lower, f"edges hold all components up to {most}")
    for m in components:
        if m > highest and keep[component(m)]:
            keep[component(m)] = ()
            changed.append(f"{component(m)}: removed, because no order above {highest} is kept")
    return changed


def _equalize(width: str, groups: list[Group], keep: Keep) -> list[str]:
    """Let all groups of a kind keep the same number of channels, one that can be built."""
    count = max(group.round_up(len(keep[group.name])) for group in groups)
    changed = []
    for group in groups:
        if len(keep[group.name]) < count:
            grown = grow(keep, group.name, group.channels, count)
            changed.append(
                f"{grown}, because fairchem has one number of {width}"
                + (f", a multiple of {group.multiple}" if group.multiple > 1 else "")
            )
    return changed
