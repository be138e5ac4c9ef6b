"""The groups of irreps blocks of a MACE network.

``features.{t}.{ir}`` are the features that enter layer t (those of t > 0 enter readouts, too),
``messages.{t}.{ir}`` those that its convolution sends along edges, ``basis.{t}`` the channels of
its atomic basis, each with all its orders, since products of features act on a channel as a whole.
Between messages and basis lies one more set of channels where a layer selects by element
(``selected.{t}``) or gates (``gated.{t}``). All of these have one number of channels, the only one
that MACE's constructor takes; features of an order l > 0 may be missing as a whole. Messages have
numbers of their own (``edge_irreps``), and so have hidden channels of radial networks
(``radial.{t}.{i}``, equal in all layers) and of the readout (``readout.{i}.{head}``).

``correlation.{t}`` are the orders of the products of layer t, ``filter.{ir}`` the orders of the
spherical harmonics and of the atomic basis. ``source.{t}`` and ``target.{t}`` are what non-linear
layers know of the elements at an edge.
"""

from irrepress.core.groups import Group
from irrepress.core.irreps import dimension
from irrepress.families.e3nn.groups import feature_group, filter_groups, message_group
from irrepress.families.mace.architecture import Architecture

HIDDEN = "hidden"


def hidden_key(irrep: str) -> str:
    """Return the width key of features of an irrep."""
    return HIDDEN if irrep == "0e" else f"{HIDDEN}.{irrep}"


def edge_key(architecture: Architecture, layer: int, irrep: str) -> str:
    """Return the width key of what a layer's convolution sends."""
    own = layer > 0 or architecture.narrow_first
    return f"edge.{irrep}" if own else HIDDEN


def mixed_group(kind: str, layer: int) -> str | None:
    """Return the name of the group between messages and atomic basis, if there is one."""
    site = {"selecting": "selected", "nonlinear": "gated"}.get(kind)
    return None if site is None else f"{site}.{layer}"


def make_groups(architecture: Architecture) -> list[Group]:
    """Return all groups in the order of the network."""
    # mace's code for products needs one order above the scalars.
    groups = filter_groups(architecture.basis, lowest=1)
    layers = len(architecture.layers)
    for t in range(layers):
        groups += _features(architecture, t)
        groups += _layer(architecture, t)
    groups += _features(architecture, layers)
    groups += [
        Group(f"readout.{i}.{h}", layers, "0e", architecture.readout, "readout", "width", floor=1)
        for i in range(architecture.readout_layers)
        for h in range(architecture.heads)
    ]
    return groups


def _features(architecture: Architecture, t: int) -> list[Group]:
    return [
        Group(
            name=feature_group(t, irrep),
            layer=t,
            irrep=irrep,
            channels=channels,
            width=hidden_key(irrep),
            floor=1 if irrep == "0e" else 0,
            follows="" if irrep == "0e" else HIDDEN,
        )
        for irrep, channels in architecture.features[t].items()
    ]


def _layer(architecture: Architecture, t: int) -> list[Group]:
    layer, channels = architecture.layers[t], architecture.channels

    def hidden(name: str, components: int = 1) -> Group:
        return Group(name, t, "0e", channels, HIDDEN, floor=1, components=components)

    groups = [
        Group(
            name=message_group(t, irrep),
            layer=t,
            irrep=irrep,
            channels=count,
            width=edge_key(architecture, t, irrep),
            floor=1 if irrep == "0e" else 0,
            sized_like=hidden_key(irrep) if architecture.edges_as_features else "",
        )
        for irrep, count in layer.edges.items()
    ]
    if layer.kind == "nonlinear":
        groups += [hidden(f"source.{t}"), hidden(f"target.{t}")]
    groups += [
        Group(f"radial.{t}.{i}", t, "0e", count, f"radial.{i}", "width", floor=1)
        for i, count in enumerate(architecture.radial)
    ]
    mixed = mixed_group(layer.kind, t)
    if mixed is not None:
        groups.append(hidden(mixed, architecture.components))
    groups.append(hidden(f"basis.{t}", architecture.components))
    size = channels * sum(map(dimension, architecture.features[t + 1]))
    name = f"correlation.{t}"
    groups.append(
        Group(name, t, "0e", layer.correlation, name, "correlation", floor=1, components=size)
    )
    return groups
