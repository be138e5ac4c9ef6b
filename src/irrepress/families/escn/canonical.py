"""From the many forms of fairchem's checkpoints to one: a plain backbone and one task.

Checkpoints of fairchem can hold several tasks (datasets), mixtures of experts, heads wrapped by
dataset, and settings of the training. A model of irrepress is used for one task. So it keeps
the backbone, one head for energies, and the tasks energy, forces and stress of one dataset: fewer
parameters, and the same predictions.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from fairchem.core.models.uma.escn_md import eSCNMDBackbone
from torch import Tensor

from irrepress.core.errors import UserError
from irrepress.families.escn.architecture import BACKBONE, HEAD, MODEL, check_supported
from irrepress.families.escn.tasks import choose_dataset, read_scale, write_tasks

PLAIN = {BACKBONE, "escnmd_backbone"}
WITH_EXPERTS = {"fairchem.core.models.uma.escn_moe.eSCNMDMoeBackbone", "escnmd_moe_backbone"}
HEADS = {"MLP_EFS_Head", "MLP_Energy_Head"}
WRAPPERS = {"DatasetSpecificMoEWrapper", "DatasetSpecificSingleHeadWrapper"}
_EMBEDDINGS = "backbone.dataset_embedding.dataset_emb_dict."
# Settings of one run, and what inference sets anyway.
_SETTINGS = {
    "otf_graph": True,
    "always_use_pbc": False,
    "direct_forces": False,
    "regress_forces": True,
    "direct_stress": False,
    "regress_stress": True,
    "regress_hessian": False,
    "activation_checkpointing": False,
    "use_quaternion_wigner": True,
    "use_cuda_graph_wigner": False,
    "execution_mode": "general",
    "edge_chunk_size": 1,
    "dataset_list": None,
    "charge_balanced_channels": None,
    "spin_balanced_channels": None,
}

State = dict[str, Tensor]


def backbone_of(source: object, model_config: Any) -> dict[str, Any]:
    """Return the config of the backbone.

    Raises:
        UserError: it is none of eSCN-MD.
    """
    target = model_config.get("_target_") if isinstance(model_config, Mapping) else None
    backbone = model_config.get("backbone") if target == MODEL else None
    if not isinstance(backbone, Mapping):
        raise UserError(f"{source}: holds no backbone with heads of fairchem, but {target!r}")
    if backbone.get("model") not in PLAIN | WITH_EXPERTS:
        raise UserError(
            f"{source}: its backbone is {backbone.get('model')!r}; irrepress takes eSCN-MD, the "
            "backbone of UMA and eSEN"
        )
    return dict(backbone)


def has_experts(backbone: Mapping[str, Any]) -> bool:
    """Whether the backbone is a mixture of experts that is not merged yet."""
    # fairchem's default is 8.
    return backbone["model"] in WITH_EXPERTS and backbone.get("num_experts", 8) > 0


def canonical(
    source: object,
    model_config: Mapping[str, Any],
    tasks: list[dict[str, Any]],
    state: Mapping[str, Tensor],
    modal: str | None,
) -> tuple[dict[str, Any], State]:
    """Return a `Model.native` without its elements, and the weights of its network.

    Args:
        source: what messages call the checkpoint.
        model_config: fairchem's config as plain data; experts are merged.
        tasks: fairchem's configs of tasks.
        state: the weights.
        modal: the dataset to use.

    Raises:
        UserError: it is no eSCN-MD model that irrepress supports, or the modal is not right.
    """
    backbone = backbone_of(source, model_config)
    check_supported(backbone, source)
    dataset = choose_dataset(source, tasks, modal)
    parameters = inspect.signature(eSCNMDBackbone).parameters
    settings = {name: backbone.get(name, each.default) for name, each in parameters.items()}
    settings |= {**_SETTINGS, "dataset_mapping": None}
    state = dict(state)
    if settings["use_dataset_embedding"]:
        mapping = backbone.get("dataset_mapping") or {n: n for n in backbone["dataset_list"]}
        if dataset not in mapping:
            raise UserError(f"{source}: its backbone embeds no dataset {dataset!r}")
        settings["dataset_mapping"] = {dataset: dataset}
        own = state.get(f"{_EMBEDDINGS}{mapping[dataset]}.weight")
        state = {name: t for name, t in state.items() if not name.startswith(_EMBEDDINGS)}
        if own is not None:
            state[f"{_EMBEDDINGS}{dataset}.weight"] = own
    head, state = _head(source, model_config.get("heads"), state, dataset)
    scale = read_scale(source, tasks, dataset, settings["max_num_elements"])
    native = {
        "model_config": {
            "_target_": MODEL,
            "backbone": {"model": BACKBONE, **settings},
            "heads": {head: {"module": HEAD}},
            "pass_through_head_outputs": True,
            "otf_graph": True,
            "supports_single_atoms": bool(model_config.get("supports_single_atoms", False)),
        },
        "tasks_config": write_tasks(scale, dataset),
    }
    return native, state


def _head(source: object, heads: Any, state: State, dataset: str) -> tuple[str, State]:
    """Return the name of the head for energies and the weights with that head alone.

    Raises:
        UserError: there is none, or other heads beside it.
    """
    if not isinstance(heads, Mapping) or len(heads) != 1:
        names = ", ".join(map(str, heads)) if isinstance(heads, Mapping) else "none"
        raise UserError(
            f"{source}: has the heads {names}; irrepress takes models with one head, MLP_EFS_Head, "
            "whose forces and stress are derivatives of the energy"
        )
    ((name, config),) = heads.items()
    prefix = f"output_heads.{name}."
    kind, inner = str(config.get("module")).split(".")[-1], config
    if kind in WRAPPERS:
        inner = {"module": config.get("head_cls"), **(config.get("head_kwargs") or {})}
        own = {key: tensor for key, tensor in state.items() if key.startswith(prefix)}
        state = {key: tensor for key, tensor in state.items() if key not in own}
        expert = _expert(source, config, dataset) if kind == "DatasetSpecificMoEWrapper" else 0
        for key, tensor in own.items():
            key = key.replace(f"{prefix}head.", prefix)
            if key.endswith(".weights"):
                key, tensor = key.removesuffix("s"), tensor[expert]
            state[key] = tensor
    kind = str(inner["module"]).split(".")[-1]
    if kind not in HEADS or inner.get("reduce", "sum") != "sum":
        raise UserError(
            f"{source}: its head is {inner.get('module')!r}; irrepress takes MLP_EFS_Head, which "
            "sums atomic energies and derives forces and stress from them"
        )
    return str(name), state


def _expert(source: object, config: Mapping[str, Any], dataset: str) -> int:
    """Return which expert of a head serves a dataset."""
    mapping = config.get("dataset_mapping") or {n: n for n in config.get("dataset_names") or ()}
    if dataset not in mapping:
        raise UserError(f"{source}: its head knows no dataset {dataset!r}")
    return sorted(set(mapping.values())).index(mapping[dataset])
