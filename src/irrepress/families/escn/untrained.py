"""Models with random weights, to be trained from scratch: from settings, or by keyword.

No weights of eSCN-MD can be had without an account. So that a small model can be made all the
same, a keyword stands for an architecture with random weights from a fixed seed. Such a model
predicts nothing before it is trained: name it only in studies that train from scratch.
"""

from collections.abc import Mapping
from typing import Any

from irrepress.core.statistics import DataStatistics
from irrepress.families.escn.architecture import BACKBONE, HEAD, MODEL, check_supported
from irrepress.families.escn.tasks import EnergyScale, write_tasks

# What the saved file calls the only task, where the config gives no other name.
TASK = "main"


def native_of(
    settings: Mapping[str, Any], data: DataStatistics, modal: str | None
) -> dict[str, Any]:
    """Return what settings stand for; see `BuiltFromSettings` in `families.generic.family`.

    Raises:
        UserError: a setting that irrepress refuses.
    """
    dataset, numbers = modal or TASK, max(data.elements) + 1
    native = native_config(dataset, **settings, max_num_elements=numbers)
    backbone = native["model_config"]["backbone"]
    if "mmax" not in settings:
        backbone["mmax"] = min(backbone["mmax"], backbone["lmax"])
    check_supported(backbone, "untrained")
    shifted = data.shifted()
    references = tuple(shifted.get(number, 0.0) for number in range(numbers))
    native["tasks_config"] = write_tasks(EnergyScale(0.0, data.scale, references), dataset)
    native["elements"] = data.elements
    return native


def native_config(dataset: str = "untrained", **sizes: Any) -> dict[str, Any]:
    """Return a `Model.native`: UMA-S's kind of network, in a small size.

    Args:
        dataset: name of the task.
        **sizes: settings of fairchem's eSCNMDBackbone that differ from the small model's.
    """
    backbone: dict[str, Any] = {
        "model": BACKBONE,
        "max_num_elements": 100,
        "sphere_channels": 32,
        "hidden_channels": 32,
        "edge_channels": 32,
        "lmax": 2,
        "mmax": 2,
        "num_layers": 2,
        "num_distance_basis": 32,
        "cutoff": 5.0,
        "max_neighbors": 300,
        "otf_graph": True,
        "always_use_pbc": False,
        "direct_forces": False,
        "regress_forces": True,
        "regress_stress": True,
        "norm_type": "rms_norm_sh",
        "act_type": "gate",
        "ff_type": "spectral",
        "chg_spin_emb_type": "rand_emb",
        "use_dataset_embedding": True,
        "dataset_mapping": {dataset: dataset},
        **sizes,
    }
    numbers = backbone["max_num_elements"]
    return {
        "model_config": {
            "_target_": MODEL,
            "backbone": backbone,
            "heads": {"efs": {"module": HEAD}},
            "pass_through_head_outputs": True,
            "otf_graph": True,
            "supports_single_atoms": True,
        },
        "tasks_config": write_tasks(EnergyScale(0.0, 1.0, (0.0,) * numbers), dataset),
        "elements": list(range(1, numbers)),
    }


# keyword -> `Model.native`
ARCHITECTURES = {"escn-md-small": native_config()}
