"""The groups of irreps blocks of a SevenNet network.

``features.{t}.{ir}`` are the features that enter layer t (those of t = L enter the readout),
``messages.{t}.{ir}`` those that its convolution sends along the edges, and ``filter.{ir}`` the
orders of the spherical harmonics. Features and messages of one layer and irrep may keep different
channels but must keep equally many: sevenn builds both from the same irreps.
"""

from irrepress.core.groups import Group
from irrepress.families.e3nn.groups import feature_group, filter_groups, message_group
from irrepress.families.sevennet.architecture import Architecture


def width_key(layer: int, irrep: str) -> str:
    """Return the width key that features and messages of a layer share."""
    return f"{layer}.{irrep}"


def make_groups(architecture: Architecture) -> list[Group]:
    """Return all groups in the order of the network."""
    groups = filter_groups(architecture.filter)
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
