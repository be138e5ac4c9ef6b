"""Rounding a plan to what a family's constructor holds: steps that several families take.

All change what is kept in place and return one message for each change.
"""

from collections.abc import Callable, Iterable, Mapping

# Name of a group -> indices of the blocks that are kept.
Keep = dict[str, tuple[int, ...]]


def grow(keep: Keep, name: str, channels: int, count: int) -> str:
    """Keep more blocks of a group, the first ones that are not kept, until there are ``count``.

    Args:
        keep: what is kept.
        name: of the group.
        channels: number of its blocks.
        count: how many are to be kept.

    Returns:
        The beginning of a message, to be followed by the reason.
    """
    kept = keep[name]
    removed = [index for index in range(channels) if index not in set(kept)]
    keep[name] = tuple(sorted((*kept, *removed[: count - len(kept)])))
    return f"{name}: {len(kept)} -> {count} channels"


def fill(keep: Keep, names: Iterable[str], reason: str) -> list[str]:
    """Keep groups of a single block, such as the orders of a filter, that are not kept."""
    changed = []
    for name in names:
        if not keep[name]:
            keep[name] = (0,)
            changed.append(f"{name}: kept, because {reason}")
    return changed


def drop_dead(keep: Keep, dead: Callable[[], Mapping[str, str]]) -> list[str]:
    """Drop groups that compute nothing, until none are left.

    Args:
        keep: what is kept.
        dead: returns the groups that compute nothing as things stand, and why.
    """
    changed: list[str] = []
    while found := {name: reason for name, reason in dead().items() if keep[name]}:
        for name, reason in found.items():
            changed.append(f"{name}: {len(keep[name])} -> 0 channels, because {reason}")
            keep[name] = ()
    return changed
