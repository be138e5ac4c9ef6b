"""The arguments of MACE's constructor as plain data, read from a network and given back.

mace has `extract_config_mace_model` for the same purpose; it takes the first layer's correlation
order for all layers, knows no plain MACE, and gives objects that no JSON can hold.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from irrepress.core.errors import UserError
from irrepress.core.model import NativeModule
from irrepress.families.e3nn.building import building_e3nn
from irrepress.families.mace.package import Irreps, RadialMLP, blocks, mace_modules

MODELS = ("MACE", "ScaleShiftMACE")
INTERACTIONS = (
    "RealAgnosticInteractionBlock",
    "RealAgnosticResidualInteractionBlock",
    "RealAgnosticDensityInteractionBlock",
    "RealAgnosticDensityResidualInteractionBlock",
    "RealAgnosticResidualNonLinearInteractionBlock",
)
READOUTS = ("NonLinearReadoutBlock", "NonLinearBiasReadoutBlock")
# What holds functions of distances; most of their numbers are constants in most models.
BASES = ("radial_embedding.", "pair_repulsion_fn.")
# Activations that mace's command line knows.
_GATES = {"silu": torch.nn.functional.silu, "tanh": torch.tanh, "abs": torch.abs, "None": None}
_BASES = {"BesselBasis": "bessel", "GaussianBasis": "gaussian", "ChebychevBasis": "chebyshev"}
_TRANSFORMS = {"AgnesiTransform": "Agnesi", "SoftTransform": "Soft"}


def read_config(network: NativeModule) -> dict[str, Any]:
    """Return the constructor's arguments of a network as plain Python types.

    Raises:
        UserError: the network has parts that irrepress does not support.
    """
    kind = type(network).__name__
    _require(kind in MODELS, "the model", kind, MODELS)
    _require(not hasattr(network, "joint_embedding"), "embedding_specs", "given", ("none",))
    first, last = network.interactions[0], network.interactions[-1]
    for interaction in network.interactions:
        name = type(interaction).__name__
        _require(name in INTERACTIONS, "interaction class", name, INTERACTIONS)
    layers = len(network.interactions)
    hidden = network.products[0].linear.irreps_out
    leaving = network.products[-1].linear.irreps_out
    _require(str(hidden[0].ir) == "0e", "first irrep of hidden_irreps", str(hidden[0].ir), ("0e",))
    _require(not hidden.count("0o"), "0o in hidden_irreps", str(hidden), ("none",))
    radial = network.radial_embedding
    edges = getattr(network, "edge_irreps", None)
    config: dict[str, Any] = {
        "model": kind,
        "r_max": float(network.r_max),
        "num_bessel": int(radial.out_dim),
        "num_polynomial_cutoff": int(radial.cutoff_fn.p),
        "max_ell": first.edge_attrs_irreps.lmax,
        "interaction_cls": type(last).__name__,
        "interaction_cls_first": type(first).__name__,
        "num_interactions": layers,
        "num_elements": len(network.atomic_numbers),
        "hidden_irreps": str(hidden),
        "atomic_energies": network.atomic_energies_fn.atomic_energies.tolist(),
        "avg_num_neighbors": float(first.avg_num_neighbors),
        "atomic_numbers": network.atomic_numbers.tolist(),
        "correlation": [
            len(product.symmetric_contractions.contractions[0].weights) + 1
            for product in network.products
        ],
        "pair_repulsion": hasattr(network, "pair_repulsion_fn"),
        "apply_cutoff": bool(getattr(network, "apply_cutoff", True)),
        "use_reduced_cg": bool(getattr(network, "use_reduced_cg", False)),
        "use_so3": bool(getattr(network, "use_so3", False)),
        "use_agnostic_product": bool(getattr(network, "use_agnostic_product", False)),
        "use_last_readout_only": bool(getattr(network, "use_last_readout_only", False)),
        "distance_transform": _TRANSFORMS.get(
            type(getattr(radial, "distance_transform", None)).__name__, "None"
        ),
        "edge_irreps": None if edges is None else str(edges),
        "use_edge_irreps_first": bool(getattr(network, "use_edge_irreps_first", False)),
        "radial_MLP": radial_widths(first.conv_tp_weights),
        "radial_type": _BASES[type(radial.bessel_fn).__name__],
        "heads": [str(head) for head in getattr(network, "heads", ["Default"])],
        "keep_last_layer_irreps": layers > 1 and leaving.lmax > 0,
        "trained": [name for name, _ in network.named_parameters() if name.startswith(BASES)],
        **_read_readout(network),
    }
    if kind == "ScaleShiftMACE":
        config["atomic_inter_scale"] = network.scale_shift.scale.tolist()
        config["atomic_inter_shift"] = network.scale_shift.shift.tolist()
    return config


def build_network(config: Mapping[str, Any], dtype: torch.dtype) -> NativeModule:
    """Build a network with new weights by MACE's constructor.

    What the constructor makes a constant but fine-tuning by MACE trains, such as the frequencies
    of the radial basis, becomes a parameter where ``trained`` names it.

    Args:
        config: from `read_config`, also after a round trip through JSON.
        dtype: of weights and constants.
    """
    arguments = dict(config)
    model, trained = getattr(mace_modules, arguments.pop("model")), arguments.pop("trained")
    for key in ("interaction_cls", "interaction_cls_first", "readout_cls"):
        arguments[key] = getattr(blocks, arguments[key])
    for key in ("hidden_irreps", "MLP_irreps", "edge_irreps"):
        arguments[key] = None if arguments[key] is None else Irreps(arguments[key])
    arguments["gate"] = _GATES[arguments["gate"]]
    for key in ("atomic_energies", "atomic_inter_scale", "atomic_inter_shift"):
        if key in arguments:
            arguments[key] = np.asarray(arguments[key], dtype=np.float64)
    with building_e3nn(dtype):
        network = model(**arguments)
    for name in trained:
        parent, _, attribute = name.rpartition(".")
        module = network.get_submodule(parent)
        value = getattr(module, attribute).detach()
        delattr(module, attribute)
        module.register_parameter(attribute, torch.nn.Parameter(value))
    return network


def radial_widths(network: NativeModule) -> list[int]:
    """Return the sizes of a radial network's hidden layers."""
    if isinstance(network, RadialMLP):
        return [m.out_features for m in network.net if isinstance(m, torch.nn.Linear)][:-1]
    return list(network.hs[1:-1])


def _read_readout(network: NativeModule) -> dict[str, Any]:
    """Return what describes the last readout; a network of one layer has a linear one."""
    readout = network.readouts[-1]
    name = type(readout).__name__
    if len(network.interactions) == 1:
        return {"readout_cls": READOUTS[0], "MLP_irreps": "16x0e", "gate": "silu"}
    _require(name in READOUTS, "readout class", name, READOUTS)
    width = readout.hidden_irreps.count("0e")
    _require(
        width == readout.hidden_irreps.dim, "MLP_irreps", str(readout.hidden_irreps), ("scalars",)
    )
    function = getattr(readout.non_linearity.acts[0], "f", None)
    gate = next((key for key, known in _GATES.items() if known is function), None)
    _require(gate is not None, "gate", str(function), tuple(_GATES))
    heads = len(getattr(network, "heads", ["Default"]))
    return {"readout_cls": name, "MLP_irreps": f"{width // heads}x0e", "gate": gate}


def _require(condition: bool, what: str, found: str, known: tuple[str, ...]) -> None:
    if not condition:
        raise UserError(
            f"MACE model: {what} is {found}, irrepress supports {', '.join(known)}; take a model "
            "without it"
        )
