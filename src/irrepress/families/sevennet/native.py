"""Rounding a plan to what sevenn's constructor holds, and dropping what computes nothing."""

from irrepress.core.irreps import order
from irrepress.families.e3nn.groups import feature_group, filter_group, message_group
from irrepress.families.e3nn.paths import products
from irrepress.families.e3nn.rounding import fill_filter
from irrepress.families.generic.rounding import Keep, drop_dead, grow
from irrepress.families.sevennet.architecture import Architecture, gate_irrep
from irrepress.families.sevennet.groups import make_groups


def round_plan(architecture: Architecture, keep: Keep) -> list[str]:
    """Change what is kept to what can be built, in place; see `DescribedFamily.round_plan`.

    Where features and messages of a layer keep different numbers of channels, the smaller number
    grows: nothing that the plan keeps is lost. Blocks that no kept block feeds are zero, and
    blocks that feed no kept block do nothing; both are dropped, which changes no result.
    """
    messages = fill_filter(architecture.filter, keep)
    messages += _raise_to_floor(architecture, keep)
    messages += _equalize(architecture, keep)
    messages += drop_dead(
        keep, lambda: {**_unfed(architecture, keep), **_unused(architecture, keep)}
    )
    return messages


def _raise_to_floor(architecture: Architecture, keep: Keep) -> list[str]:
    """Keep at least as many channels as the architecture needs."""
    changed = []
    for group in make_groups(architecture):
        if len(keep[group.name]) < group.floor:
            grown = grow(keep, group.name, group.channels, group.floor)
            changed.append(f"{grown}, the least that SevenNet builds")
    return changed


def _equalize(architecture: Architecture, keep: Keep) -> list[str]:
    """Let features and messages of a layer and irrep keep the same number of channels."""
    changed = []
    for t, features in enumerate(architecture.features[:-1]):
        for irrep, channels in features.items():
            names = (feature_group(t, irrep), message_group(t, irrep))
            if not keep[names[0]]:
                if keep[names[1]]:
                    changed.append(
                        f"{names[1]}: {len(keep[names[1]])} -> 0 channels, because {names[0]} "
                        "keeps none"
                    )
                    keep[names[1]] = ()
                continue
            few, many = sorted(names, key=lambda name: len(keep[name]))
            if len(keep[few]) < len(keep[many]):
                grown = grow(keep, few, channels, len(keep[many]))
                changed.append(f"{grown}, because SevenNet ties it to {many}")
    return changed


def _tied(architecture: Architecture, t: int, irrep: str) -> list[str]:
    """Return the groups of features, and of messages if there are any, of layer t."""
    names = [feature_group(t, irrep)]
    return names if t == architecture.layers else [*names, message_group(t, irrep)]


def _kept_filters(architecture: Architecture, keep: Keep) -> list[str]:
    return [irrep for irrep in architecture.filter if keep[filter_group(irrep)]]


def _unfed(architecture: Architecture, keep: Keep) -> dict[str, str]:
    """Return groups whose features are always zero, and why."""
    filters = _kept_filters(architecture, keep)
    found = {}
    for t, features in enumerate(architecture.features):
        for irrep in features:
            if irrep != "0e" and not _is_fed(architecture, keep, t, irrep, filters):
                for name in _tied(architecture, t, irrep):
                    found[name] = "nothing that is kept feeds it"
    return found


def _is_fed(architecture: Architecture, keep: Keep, t: int, irrep: str, filters: list[str]) -> bool:
    """Whether features that enter layer t can be other than zero."""
    if t == 0:  # the embedding of elements holds scalars only
        return False
    previous = [ir for ir in architecture.features[t - 1] if keep[feature_group(t - 1, ir)]]
    return irrep in previous or any(
        irrep in products(source, filter_) for source in previous for filter_ in filters
    )


def _unused(architecture: Architecture, keep: Keep) -> dict[str, str]:
    """Return groups, and top orders of the filter, that feed nothing, and why."""
    filters = _kept_filters(architecture, keep)
    found = {}
    highest_used = 0
    for t, features in enumerate(architecture.features):
        targets = {"0e"}
        if t < architecture.layers:  # else the readout, which takes scalars only
            following = architecture.features[t + 1]
            leaving = {irrep: len(keep[feature_group(t + 1, irrep)]) for irrep in following}
            targets = {irrep for irrep, kept in leaving.items() if kept}
            if any(map(order, targets)):
                targets.add(gate_irrep(leaving))
        for irrep in (irrep for irrep in features if keep[feature_group(t, irrep)]):
            used = irrep in targets
            for filter_ in filters if t < architecture.layers else []:
                if targets.intersection(products(irrep, filter_)):
                    used = True
                    highest_used = max(highest_used, order(filter_))
            if not used:
                for name in _tied(architecture, t, irrep):
                    found[name] = "nothing that is kept takes it"
    for irrep in filters:
        if order(irrep) > highest_used:
            found[filter_group(irrep)] = "no path that is kept uses it"
    return found
