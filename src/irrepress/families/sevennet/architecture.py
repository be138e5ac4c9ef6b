"""What a SevenNet network is made of: irreps per layer, filter orders, convolution paths."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from e3nn.o3 import Irreps

from irrepress.core.errors import UserError
from irrepress.core.model import NativeModule

EMBEDDING = "onehot_to_feature_x"
EDGES = "edge_embedding"
RESCALE = "rescale_atomic_energy"
HIDDEN = "reduce_input_to_hidden"
ENERGY = "reduce_hidden_to_energy"
MLP_READOUT = "readout_FCN"
ONE_HOT = "onehot_idx_to_onehot"


@dataclass(frozen=True)
class Architecture:
    """Irreps of a network.

    Attributes:
        features: for each layer t = 0 ... L, irrep -> number of channels of the features that
            enter layer t; the last entry enters the readout.
        filter: irreps of the spherical harmonics, from order 0 upwards.
        mlp_readout: whether the readout is an MLP instead of two linear maps.
    """

    features: tuple[dict[str, int], ...]
    filter: tuple[str, ...]
    mlp_readout: bool

    @property
    def layers(self) -> int:
        """Number of interaction layers."""
        return len(self.features) - 1

    def read_by(self, layers: Sequence[int]) -> list[int]:
        """Return which features are read in a network of some layers, place by place.

        Those that enter its layers, and those that enter the readout.
        """
        return [*layers, self.layers]


def gate_irrep(features: Mapping[str, int]) -> str:
    """Return the irrep of the scalars that gate the features of l > 0."""
    return "0e" if features.get("0e") else "0o"


def read_architecture(network: NativeModule) -> Architecture:
    """Read the irreps from a network.

    Raises:
        UserError: the network has parts that cannot be narrowed.
    """
    modules = network._modules
    features = [_as_dict(modules[EMBEDDING].irreps_out)]
    while (gate := modules.get(f"{len(features) - 1}_equivariant_gate")) is not None:
        features.append(_as_dict(gate.gate.irreps_scalars + gate.gate.irreps_gated))
    for t, irreps in enumerate(features[:-1]):
        if _as_dict(modules[f"{t}_self_interaction_1"].irreps_out) != irreps:
            raise UserError(
                f"SevenNet checkpoint: irreps {irreps} of layer {t} are not ordered scalars "
                "first; irrepress supports only this order"
            )
    for name, module in network.named_modules():
        if getattr(module, "bias_numel", 0):
            raise UserError(
                f"SevenNet checkpoint: {name} has biases (use_bias_in_linear: True), irrepress "
                "supports only models without"
            )
    return Architecture(
        features=tuple(features),
        filter=tuple(str(irrep) for _, irrep in modules[EDGES].spherical.irreps_out),
        mlp_readout=MLP_READOUT in modules,
    )


def _as_dict(irreps: Irreps) -> dict[str, int]:
    channels = {str(irrep): mul for mul, irrep in irreps}
    if len(channels) != len(irreps):
        raise UserError(
            f"SevenNet checkpoint: irreps {irreps} name an irrep twice; irrepress supports only "
            "models that name each irrep of a layer once"
        )
    return channels
