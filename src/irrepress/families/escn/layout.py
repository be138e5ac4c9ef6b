"""Where the channels of every group lie in the parameters of an eSCN-MD network."""

from irrepress.families.escn.architecture import Architecture
from irrepress.families.generic.layout import ELEMENTS, Axis, Layout, Part, Weights, free

FEATURES, SOURCE, TARGET = "features", "source", "target"


# Stand for groups in the embeddings of charge, spin and dataset and in the map that mixes them: as
# many channels as features, and half of it.
SYSTEM, FREQUENCIES = "system", "frequencies"
# What parameters do, by texts in their names.
ROLES = (
    ("rad_func.", "radial"),
    ("output_heads.", "readout"),
    ("backbone.norm.", "readout"),
    ("backbone.mix_csd.", "embedding"),
    ("embedding.", "embedding"),
)


def messages(layer: int) -> str:
    """Return the name of the group of a layer's hidden features along edges."""
    return f"messages.{layer}"


def update(layer: int) -> str:
    """Return the name of the group of the hidden features of a layer's feed-forward network."""
    return f"update.{layer}"


def readout(index: int) -> str:
    """Return the name of the group of a hidden layer of the readout, 1 or 2."""
    return f"readout{index}"


def radial(index: int, layer: int | None) -> str:
    """Return the name of the group of a hidden layer, 1 or 2, of a radial network.

    Args:
        index: of the hidden layer.
        layer: whose radial network it is; None: that of the first embedding of edges.
    """
    return f"degree{index}" if layer is None else f"radial{index}.{layer}"


def order(degree: int) -> str:
    """Return the name of the group of an order l."""
    return f"order.{degree}e"


def component(m: int) -> str:
    """Return the name of the group of the components +m and -m along edges."""
    return f"component.{m}e"


def make_layout(a: Architecture) -> Layout:
    """Return the weights of a network but those of `system_layout`."""
    scalars = _channels(a.channels, FEATURES, 0)
    elements = (Part(a.numbers, ELEMENTS),)
    layout = [
        _table("sphere_embedding.weight", elements, scalars),
        _table("source_embedding.weight", elements, (Part(a.edge_channels, SOURCE),)),
        _table("target_embedding.weight", elements, (Part(a.edge_channels, TARGET),)),
        Weights("backbone.mix_csd.bias", (scalars,)),
        *_norm(a, "backbone.norm"),
    ]
    all_orders = _orders(a, 0, a.channels, FEATURES)
    layout += _radial(a, "backbone.edge_degree_embedding.rad_func.net", None, all_orders)
    for t in range(a.layers):
        layout += _layer(a, t)
    first, second = ((Part(a.hidden, readout(index)),) for index in (1, 2))
    head = f"output_heads.{a.head}.energy_block"
    for place, outputs, inputs in ((0, first, scalars), (2, second, first), (4, free(1), second)):
        layout += _linear(f"{head}.{place}", outputs, inputs)
    return layout


def system_layout(a: Architecture) -> Layout:
    """Return the weights that embed charge, spin and dataset, which are narrowed by hand."""
    scalars = _channels(a.channels, FEATURES, 0)
    system = (Part(a.channels, SYSTEM),)
    kinds = ["charge", "spin", "dataset"][: 3 if a.dataset is not None else 2]
    # What mixes them reads no blocks: criteria leave it out.
    layout = [Weights("backbone.mix_csd.weight", (scalars, system * len(kinds)), reads=1)]
    for kind, size in (("charge", 201), ("spin", 101)):
        name = f"{kind}_embedding"
        if a.random_embedding:
            layout.append(_table(f"{name}.rand_emb.weight", free(size), system))
        else:
            layout.append(_table(f"{name}.W", (Part(a.channels // 2, FREQUENCIES),)))
    if a.dataset is not None:
        name = f"dataset_embedding.dataset_emb_dict.{a.dataset}.weight"
        layout.append(_table(name, free(1), system))
    return layout


def _layer(a: Architecture, t: int) -> Layout:
    block = f"backbone.blocks.{t}"
    layout = [*_norm(a, f"{block}.norm_1"), *_norm(a, f"{block}.norm_2")]
    first, second = f"{block}.edge_wise.so2_conv_1", f"{block}.edge_wise.so2_conv_2"
    weights: Axis = ()
    for m in range(a.mmax + 1):
        # Features of both ends of an edge lie side by side, order after order.
        both = tuple(part for part in _orders(a, m, a.channels, FEATURES) for _ in range(2))
        hidden = _orders(a, m, a.hidden, messages(t))
        leaving = _orders(a, m, a.channels, FEATURES)
        weights += both
        if m == 0:
            gates = hidden[1:]
            layout += _linear(f"{first}.fc_m0", gates + hidden, both)
            layout += _linear(f"{second}.fc_m0", leaving, hidden)
        else:
            # The real part of a complex weight, then the imaginary one.
            # Both multiply the components +m and -m.
            for name, rows, columns in ((first, hidden, both), (second, leaving, hidden)):
                name, axes = f"{name}.so2_m_conv.{m - 1}.fc.weight", (rows * 2, columns)
                layout.append(Weights(name, axes, components=2, reads=1))
    layout += _radial(a, f"{first}.rad_func.net", t, weights)

    atoms = f"{block}.atom_wise"
    scalars = _channels(a.channels, FEATURES, 0)
    layout += _linear(f"{atoms}.scalar_mlp.0", _orders(a, 0, a.hidden, update(t))[1:], scalars)
    inside, outside = (a.hidden, update(t)), (a.channels, FEATURES)
    maps = (("so3_linear_1", inside, outside), ("so3_linear_2", outside, inside))
    for name, outputs, inputs in maps:
        layout += [
            Weights(
                f"{atoms}.{name}.weight",
                (_channels(*outputs, degree), _channels(*inputs, degree)),
                start=degree * a.hidden * a.channels,
                components=2 * degree + 1,
                reads=1,
            )
            for degree in range(a.lmax + 1)
        ]
        layout.append(Weights(f"{atoms}.{name}.bias", (_channels(*outputs, 0),)))
    return layout


def _radial(a: Architecture, net: str, layer: int | None, outputs: Axis) -> Layout:
    """Return the weights of a radial network with its two norms."""
    ends = (Part(a.edge_channels, SOURCE), Part(a.edge_channels, TARGET))
    first, second = ((Part(a.edge_channels, radial(index, layer)),) for index in (1, 2))
    layout: Layout = []
    for index, inputs, channels in ((0, (*free(a.basis), *ends), first), (3, first, second)):
        layout += _linear(f"{net}.{index}", channels, inputs)
        layout += [Weights(f"{net}.{index + 1}.{name}", (channels,)) for name in ("weight", "bias")]
    return layout + _linear(f"{net}.6", outputs, second)


def _linear(name: str, outputs: Axis, inputs: Axis) -> Layout:
    weight = Weights(f"{name}.weight", (outputs, inputs), reads=1)
    return [weight, Weights(f"{name}.bias", (outputs,))]


def _norm(a: Architecture, name: str) -> Layout:
    rows = tuple(Part(1, inside=((order(degree), 0),)) for degree in range(a.lmax + 1))
    scalars = (Part(a.channels, FEATURES),)
    return [
        Weights(f"{name}.affine_weight", (rows, scalars), quantized=False),
        Weights(f"{name}.affine_bias", (scalars,)),
    ]


def _table(name: str, *axes: Axis) -> Weights:
    return Weights(f"backbone.{name}", axes, quantized=False)


def _orders(a: Architecture, m: int, channels: int, group: str) -> Axis:
    """Return one part for each order that has the component m."""
    axes = (_channels(channels, group, degree, m) for degree in range(m, a.lmax + 1))
    return tuple(part for axis in axes for part in axis)


def _channels(channels: int, group: str, degree: int, m: int = 0) -> Axis:
    inside = ((order(degree), 0), *([(component(m), 0)] if m else []))
    return (Part(channels, group, inside=inside),)
