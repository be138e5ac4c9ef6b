"""Models with random weights from settings of the config, to be trained from scratch."""

import copy
from collections.abc import Mapping
from typing import Any

from irrepress.core.statistics import DataStatistics
from irrepress.families.generic.checkpoints import check_modal

# A small model; settings have the names of the constructor's arguments.
DEFAULTS: dict[str, Any] = {
    "r_max": 5.0,
    "num_bessel": 8,
    "num_polynomial_cutoff": 5,
    "max_ell": 2,
    "interaction_cls": "RealAgnosticResidualInteractionBlock",
    "interaction_cls_first": "RealAgnosticInteractionBlock",
    "num_interactions": 2,
    "hidden_irreps": "32x0e+32x1o",
    "MLP_irreps": "16x0e",
    "correlation": 2,
    "gate": "silu",
    "radial_MLP": [64, 64, 64],
    "radial_type": "bessel",
    "distance_transform": "None",
    "pair_repulsion": False,
    "readout_cls": "NonLinearReadoutBlock",
}
# Arguments that do not size a network and have one value here.
_FIXED: dict[str, Any] = {
    "model": "ScaleShiftMACE",
    "apply_cutoff": True,
    "use_reduced_cg": False,
    "use_so3": False,
    "use_agnostic_product": False,
    "use_last_readout_only": False,
    "edge_irreps": None,
    "use_edge_irreps_first": False,
    "heads": ["Default"],
    "keep_last_layer_irreps": False,
    "trained": [],
}


def native_of(
    settings: Mapping[str, Any], data: DataStatistics, modal: str | None
) -> dict[str, Any]:
    """Return the constructor's arguments; see `BuiltFromSettings` in `families.generic.family`.

    Raises:
        UserError: a modal.
    """
    check_modal("untrained", (), modal, "heads")
    config = {**_FIXED, **copy.deepcopy(DEFAULTS), **copy.deepcopy(dict(settings))}
    if isinstance(config["correlation"], int):
        config["correlation"] = [config["correlation"]] * config["num_interactions"]
    return config | {
        "num_elements": len(data.elements),
        "atomic_numbers": data.elements,
        "atomic_energies": [data.references[number] for number in data.elements],
        "atomic_inter_scale": data.scale,
        "atomic_inter_shift": data.shift,
        "avg_num_neighbors": data.neighbours(float(config["r_max"])),
    }
