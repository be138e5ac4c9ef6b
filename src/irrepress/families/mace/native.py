"""Rounding a plan to what MACE's constructor holds, and dropping what computes nothing."""

from irrepress.core.groups import Group
from irrepress.families.e3nn.groups import feature_group, filter_group, message_group
from irrepress.families.e3nn.paths import products
from irrepress.families.e3nn.rounding import fill_filter
from irrepress.families.generic.rounding import Keep, drop_dead, grow
from irrepress.families.mace.architecture import Architecture
from irrepress.families.mace.groups import make_groups


def round_plan(architecture: Architecture, keep: Keep) -> list[str]:
    """Change what is kept to what can be built, in place; see `DescribedFamily.round_plan`.

    Where groups that must keep equally many channels differ, the smaller ones grow: nothing that
    the plan keeps is lost.
    """
    groups = make_groups(architecture)
    # mace's code for products needs one order above the scalars.
    messages = fill_filter(architecture.basis, keep, least=1)
    messages += _close_ranks(groups, keep)
    messages += drop_dead(keep, lambda: _dead(architecture, groups, keep))
    messages += _whole_orders(groups, keep)
    messages += _equalize(groups, keep)
    return messages


def _close_ranks(groups: list[Group], keep: Keep) -> list[str]:
    """Keep the orders of products below the highest one that is kept."""
    changed = []
    for group in (g for g in groups if g.in_order):
        count = max(keep[group.name], default=0) + 1
        if keep[group.name] != tuple(range(count)):
            keep[group.name] = tuple(range(count))
            changed.append(f"{group.name}: {count} kept, because products hold all lower orders")
    return changed


def _whole_orders(groups: list[Group], keep: Keep) -> list[str]:
    """Let features of an order be there in all layers or in none."""
    changed = []
    for group in groups:
        others = [g for g in groups if g.width == group.width and keep[g.name]]
        if not keep[group.name] and others and group.axis == "channel" and group.floor == 0:
            keep[group.name] = tuple(range(len(keep[others[0].name])))
            changed.append(
                f"{group.name}: 0 -> {len(keep[group.name])} channels, because MACE ties it to "
                f"{others[0].name}"
            )
    return changed


def _equalize(groups: list[Group], keep: Keep) -> list[str]:
    """Let groups that share a number of channels keep the largest that one of them keeps."""
    changed = []
    for group in groups:
        if not keep[group.name] and group.floor == 0:
            continue
        tied = [g for g in groups if _number(g) == _number(group) and keep[g.name]]
        most = max(tied, key=lambda g: len(keep[g.name]), default=group)
        count = max(len(keep[most.name]), group.floor)
        if len(keep[group.name]) < count:
            reason = (
                "the least that MACE builds" if most is group else f"MACE ties it to {most.name}"
            )
            grown = grow(keep, group.name, group.channels, count)
            changed.append(f"{grown}, because {reason}")
    return changed


def _number(group: Group) -> str:
    """Return what all groups have in common that share a number of channels."""
    return group.follows or group.width


def _dead(architecture: Architecture, groups: list[Group], keep: Keep) -> dict[str, str]:
    """Return features and messages of l > 0 that nothing feeds or nothing reads, and why."""
    return {
        group.name: reason
        for group in groups
        if group.axis == "channel" and group.floor == 0 and keep[group.name]
        if (reason := _idle(architecture, keep, group))
    }


def _idle(architecture: Architecture, keep: Keep, group: Group) -> str | None:
    """Return why a group does nothing in any layer; None if it does something."""
    layers = range(len(architecture.layers))
    irrep = group.irrep
    features = any(keep.get(feature_group(t, irrep)) for t in range(len(layers) + 1))
    messages = any(keep.get(message_group(t, irrep)) for t in layers)
    if group.name.startswith("messages"):
        if not features:
            return "no features of this order are kept"
        filters = [f for f in architecture.basis if keep[filter_group(f)]]
        if not any(set(products(irrep, f)) & set(filters) for f in filters):
            return "nothing that is kept takes it"
        return None
    # They may reach a later layer past the messages, but nothing reads them there.
    return None if messages else "nothing that is kept takes it"
