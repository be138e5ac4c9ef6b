"""What a MACE network is made of: irreps per layer, filter orders, correlation, hidden widths."""

from dataclasses import dataclass

from irrepress.core.irreps import dimension
from irrepress.core.model import NativeModule
from irrepress.families.mace.config import radial_widths
from irrepress.families.mace.package import FullyConnectedTensorProduct, Irreps


@dataclass(frozen=True)
class Layer:
    """One interaction and the product that follows.

    Attributes:
        kind: ``residual`` if features reach the next layer past the messages by a map for each
            element; ``selecting`` if the messages pass such a map; ``nonlinear`` if messages pass
            a gate and features reach the next layer by a linear map.
        edges: irrep -> channels that the convolution sends along edges.
        correlation: highest order of the product.
    """

    kind: str
    edges: dict[str, int]
    correlation: int


@dataclass(frozen=True)
class Architecture:
    """Irreps and widths of a network.

    Attributes:
        features: for each layer t = 0 ... T, irrep -> number of channels of the features that
            enter layer t; features t > 0 enter the readouts, too.
        layers: the T layers.
        basis: irreps of the atomic basis, the messages of every layer, in their order; also those
            of the spherical harmonics.
        radial: hidden widths of the radial networks.
        readout: hidden width of the last readout for each head; 0: it is linear.
        readout_layers: hidden layers of the last readout.
        heads: number of heads.
        narrow_first: whether the first layer sends as many scalars as the others
            (``use_edge_irreps_first``) instead of as many as there are features.
        edges_as_features: whether messages are as wide as features, because no ``edge_irreps``
            were given.
    """

    features: tuple[dict[str, int], ...]
    layers: tuple[Layer, ...]
    basis: tuple[str, ...]
    radial: tuple[int, ...]
    readout: int
    readout_layers: int
    heads: int
    narrow_first: bool
    edges_as_features: bool

    @property
    def components(self) -> int:
        """Number of components of one channel of the atomic basis."""
        return sum(map(dimension, self.basis))

    @property
    def channels(self) -> int:
        """The number of channels that embedding, features and atomic basis share."""
        return self.features[0]["0e"]


def _as_dict(irreps: Irreps) -> dict[str, int]:
    """Return irrep -> number of channels; terms of one irrep are joined."""
    found: dict[str, int] = {}
    for channels, irrep in irreps:
        found[str(irrep)] = found.get(str(irrep), 0) + channels
    return found


def read_architecture(network: NativeModule) -> Architecture:
    """Read the irreps and widths from a network that `config.read_config` accepts."""
    features = [_as_dict(network.node_embedding.linear.irreps_out)]
    features += [_as_dict(product.linear.irreps_out) for product in network.products]
    layers = zip(network.interactions, network.products, strict=True)
    readout, heads = network.readouts[-1], len(network.heads)
    linear = not hasattr(readout, "linear_1")
    return Architecture(
        features=tuple(features),
        layers=tuple(_read_layer(*layer) for layer in layers),
        basis=tuple(_as_dict(network.interactions[0].target_irreps)),
        radial=tuple(radial_widths(network.interactions[0].conv_tp_weights)),
        readout=0 if linear else readout.hidden_irreps.dim // heads,
        readout_layers=0 if linear else 1 + hasattr(readout, "linear_mid"),
        heads=heads,
        narrow_first=bool(network.use_edge_irreps_first) and network.edge_irreps is not None,
        edges_as_features=network.edge_irreps is None,
    )


def _read_layer(interaction: NativeModule, product: NativeModule) -> Layer:
    by_element = isinstance(interaction.skip_tp, FullyConnectedTensorProduct)
    if hasattr(interaction, "linear_res"):
        kind = "nonlinear"
    elif product.use_sc and by_element and "Residual" in type(interaction).__name__:
        kind = "residual"
    else:
        kind = "selecting"
    return Layer(
        kind=kind,
        edges=_as_dict(interaction.linear_up.irreps_out),
        correlation=len(product.symmetric_contractions.contractions[0].weights) + 1,
    )
