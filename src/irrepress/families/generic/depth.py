"""What families have in common that build their models with fewer layers.

Layers that stay are counted anew from 0, in names of modules and of groups. A gap lies between two
of them where layers went.
"""

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence

import torch

from irrepress.core.groups import Group
from irrepress.core.model import Model
from irrepress.core.plan import Plan


def own_groups(
    groups: Iterable[Group], places: Sequence[int], apart: Collection[str] = ()
) -> dict[str, str]:
    """Return the groups of a model with some layers alone, and which they are in its parent.

    The second part of a name is the layer, if it is a number; other groups keep their names.

    Args:
        groups: of the model with some layers alone.
        places: the parent's layer for each layer of that model; if features behind the last layer
            have a number of their own, the parent's number of those, too.
        apart: sites whose second part is a number but not that of a layer.

    Example:
        >>> groups = [Group("messages.1.0e", 1, "0e", 8, ""), Group("filter.1e", 0, "1e", 1, "")]
        >>> own_groups(groups, [0, 3, 4])
        {'messages.1.0e': 'messages.3.0e', 'filter.1e': 'filter.1e'}
    """
    found = {}
    for group in groups:
        site, *rest = group.name.split(".")
        if rest and rest[0].isdecimal() and site not in apart:
            rest[0] = str(places[int(rest[0])])
        found[group.name] = ".".join([site, *rest])
    return found


def kept_in_parent(parent: Model, plan: Plan) -> dict[str, tuple[int, ...]]:
    """Return group of the parent -> channels that a plan keeps, none where layers were dropped."""
    keep: dict[str, tuple[int, ...]] = {group.name: () for group in parent.groups()}
    for name, own in parent.groups_with_layers(plan.layers).items():
        keep[own] = plan.keep[name]
    return keep


def with_modules(network: torch.nn.Module, chosen: Mapping[str, Sequence[int]]) -> torch.nn.Module:
    """Return a network that shares its modules with another one but has only some of its layers.

    Args:
        network: the other network, which is not changed.
        chosen: name of a list of modules -> which of them to keep, by index.

    Example:
        >>> network = torch.nn.Module()
        >>> network.maps = torch.nn.ModuleList([torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)])
        >>> with_modules(network, {"maps": [1]}).get_parameter("maps.0.weight").shape
        torch.Size([1, 3])
    """
    for name, indices in chosen.items():
        modules = network.get_submodule(name)
        assert isinstance(modules, torch.nn.ModuleList)
        network = _replaced(
            network, name.split("."), torch.nn.ModuleList(modules[i] for i in indices)
        )
    return network


def _replaced(
    network: torch.nn.Module, path: Sequence[str], module: torch.nn.Module
) -> torch.nn.Module:
    """Return a shallow copy with another module at a path."""
    name, *rest = path
    found = copy.copy(network)
    found._modules = dict(network._modules)
    inner = network.get_submodule(name)
    found._modules[name] = _replaced(inner, rest, module) if rest else module
    return found
