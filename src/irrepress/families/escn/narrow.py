"""Building the smaller eSCN-MD network that a plan describes."""

import copy
import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.families.escn import checkpoint, forward
from irrepress.families.escn.architecture import Architecture, read_architecture
from irrepress.families.escn.layout import (
    FEATURES,
    SOURCE,
    component,
    make_layout,
    messages,
    order,
)
from irrepress.families.generic.layout import copy_kept

logger = logging.getLogger(__name__)

_EMBEDDINGS = ("charge_embedding", "spin_embedding", "dataset_embedding")


def rebuild(model: Model, native: dict[str, Any], keep: Mapping[str, Sequence[int]]) -> Model:
    """Build the network of a `Model.native` with the weights that stay; see `DescribedFamily`.

    Wigner matrices and what else follows from the highest order are the constructor's own.
    """
    narrowed = checkpoint.build(native, modal=model.modal, dtype=model.dtype).to(model.device)
    layouts = (make_layout(read_architecture(each.native)) for each in (model, narrowed))
    wide, small = zip((model.network, narrowed.network), layouts, strict=True)
    copy_kept(*wide, *small, keep)
    kept = keep.get(FEATURES, range(read_architecture(model.native).channels))
    _narrow_embeddings(model, narrowed, torch.tensor(kept, device=model.device))
    for name, parameter in narrowed.network.named_parameters():
        parameter.requires_grad_(model.network.get_parameter(name).requires_grad)
    return narrowed


def narrow_native(
    native: Mapping[str, Any], architecture: Architecture, plan: Plan
) -> dict[str, Any]:
    """Return the `Model.native` of the narrow network."""
    lmax = max(degree for degree in range(architecture.lmax + 1) if plan.keep[order(degree)])
    components = (m for m in range(1, architecture.mmax + 1) if plan.keep[component(m)])
    narrowed = copy.deepcopy(dict(native))
    narrowed["model_config"]["backbone"].update(
        sphere_channels=len(plan.keep[FEATURES]),
        hidden_channels=len(plan.keep[messages(0)]),
        edge_channels=len(plan.keep[SOURCE]),
        lmax=lmax,
        mmax=min(lmax, max(components, default=0)),
    )
    return narrowed


@torch.no_grad()
def _narrow_embeddings(wide: Model, small: Model, kept: Tensor) -> None:
    """Narrow the embeddings of charge, spin and dataset, which a linear map mixes.

    Tables can be narrowed without loss: each holds what the map makes of the wide table, and the
    new map adds them up. Sines and cosines cannot; of these, frequencies that the map weighs most
    stay, and for structures without a charge, what the others gave goes to the map's bias.
    """
    old, new = wide.network.backbone, small.network.backbone
    size, count = len(old.mix_csd.bias), len(kept)
    names = [name for name in _EMBEDDINGS if hasattr(old, name)]
    inputs = forward.system_inputs(wide, 1)
    for index, name in enumerate(names):
        first, second = getattr(old, name), getattr(new, name)
        weight = old.mix_csd.weight[kept, index * size : (index + 1) * size]
        target = new.mix_csd.weight[:, index * count : (index + 1) * count]
        if count == size:
            target.copy_(weight)
            second.load_state_dict(first.state_dict())
        elif hasattr(first, "W"):
            chosen = _strongest(weight, count // 2)
            logger.warning(
                "%s: %d of %d frequencies stay; for charges and spins other than the usual ones, "
                "the narrowed model says something else",
                *(name, count // 2, size // 2),
            )
            second.W.copy_(first.W[chosen])
            columns = torch.cat([chosen, chosen + size // 2])
            target.copy_(weight[:, columns])
            lost = weight.clone()
            lost[:, columns] = 0
            usual = first(cast(Tensor, inputs[index]).clone()).to(weight)[0]
            new.mix_csd.bias.add_(lost @ usual)
        else:
            target.copy_(torch.eye(count))
            for table, narrow_table in zip(first.parameters(), second.parameters(), strict=True):
                narrow_table.copy_(table @ weight.T)


def _strongest(weight: Tensor, count: int) -> Tensor:
    """Return the frequencies whose sine and cosine have the largest weights, ascending."""
    squares = weight.square().sum(0)
    half = len(squares) // 2
    return (squares[:half] + squares[half:]).topk(count).indices.sort().values
