"""The groups of irreps blocks of a SevenNet network, and gates on them.

``features.{t}.{ir}`` are the features that enter layer t (those of t = L enter the readout),
``messages.{t}.{ir}`` those that its convolution sends along the edges, and ``filter.{ir}`` the
orders of the spherical harmonics. Features and messages of one layer and irrep may keep different
channels but must keep equally many: sevenn builds both from the same irreps.
"""

from collections.abc import Iterator, Mapping, Sequence

import sevenn._keys as KEY

from irrepress.core.groups import Group
from irrepress.core.irreps import order
from irrepress.core.model import Model
from irrepress.families.e3nn.groups import feature_group, filter_group, message_group
from irrepress.families.generic import gates as generic
from irrepress.families.sevennet.architecture import (
    EDGES,
    EMBEDDING,
    Architecture,
)


def width_key(layer: int, irrep: str) -> str:
    """Return the width key that features and messages of a layer share."""
    return f"{layer}.{irrep}"


def make_groups(architecture: Architecture) -> list[Group]:
    """Return all groups in the order of the network."""
    groups = [
        Group(
            name=filter_group(irrep),
            layer=0,
            irrep=irrep,
            channels=1,
            width=filter_group(irrep),
            axis="order",
            floor=1 if order(irrep) == 0 else 0,
        )
        for irrep in architecture.filter
    ]
    for layer, features in enumerate(architecture.features):
        last = layer == architecture.layers
        for irrep, channels in features.items():
            floor = 0
            if irrep == "0e":
                # sevenn's linear readout has half as many hidden channels as inputs.
                floor = 2 if last and not architecture.mlp_readout else 1
            names = [feature_group(layer, irrep)]
            if not last:
                names.append(message_group(layer, irrep))
            groups += [
                Group(name, layer, irrep, channels, width_key(layer, irrep), floor=floor)
                for name in names
            ]
    return groups


def points(
    model: Model, architecture: Architecture, groups: Mapping[str, Group]
) -> Iterator[generic.Site]:
    """Yield where groups are gated; see `DescribedFamily.points`."""
    modules = model.network._modules

    def features(module: str, names: Sequence[str]) -> generic.Site:
        here = [groups[name] for name in names]
        return generic.side_by_side(modules[module], here, key=KEY.NODE_FEATURE)

    filters = [groups[filter_group(irrep)] for irrep in architecture.filter]
    yield generic.side_by_side(modules[EDGES], filters, "edges", key=KEY.EDGE_ATTR)
    for t, irreps in enumerate(architecture.features):
        source = EMBEDDING if t == 0 else f"{t - 1}_equivariant_gate"
        yield features(source, [feature_group(t, irrep) for irrep in irreps])
        if t < architecture.layers:
            sent = [message_group(t, irrep) for irrep in irreps]
            yield features(f"{t}_self_interaction_1", sent)
