"""Building the smaller eSCN-MD network that a plan describes."""

import copy
import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.families.escn import checkpoint, forward
from irrepress.families.escn.architecture import Architecture, read_architecture
from irrepress.families.escn.gates import make_groups
from irrepress.families.escn.layout import FEATURES, SOURCE, Choice, make_layout, messages

logger = logging.getLogger(__name__)

_EMBEDDINGS = ("charge_embedding", "spin_embedding", "dataset_embedding")


@torch.no_grad()
def narrow(model: Model, plan: Plan) -> Model:
    """Build the narrow model; see `irrepress.core.family.Family.narrow`.

    Wigner matrices and what else follows from the highest order are the constructor's own.
    """
    architecture = read_architecture(model.native)
    plan.check(make_groups(architecture))
    choice = Choice.of(architecture, plan)
    native = narrow_native(model.native, choice)
    small = checkpoint.build(native, model.modal)
    narrowed = checkpoint.make_model(small.network.to(model.dtype), small.native, model.modal)
    narrowed.to(model.device)
    layout = make_layout(architecture)
    source = dict(model.network.named_parameters())
    for name, parameter in narrowed.network.named_parameters():
        if name in layout:
            kept = source[name]
            for axis, parts in enumerate(layout[name]):
                kept = kept.index_select(axis, choice.indices(parts).to(kept.device))
            parameter.copy_(kept)
    _narrow_embeddings(model, narrowed, architecture, choice)
    for name, parameter in narrowed.network.named_parameters():
        parameter.requires_grad_(source[name].requires_grad)
    return narrowed


def narrow_native(native: Mapping[str, Any], choice: Choice) -> dict[str, Any]:
    """Return the `Model.native` of the narrow network."""
    narrowed = copy.deepcopy(dict(native))
    narrowed["model_config"]["backbone"].update(
        sphere_channels=len(choice.kept[FEATURES]),
        hidden_channels=len(choice.kept[messages(0)]),
        edge_channels=len(choice.kept[SOURCE]),
        lmax=choice.lmax,
        mmax=choice.mmax,
    )
    return narrowed


def _narrow_embeddings(
    wide: Model, small: Model, architecture: Architecture, choice: Choice
) -> None:
    """Narrow the embeddings of charge, spin and dataset, which a linear map mixes.

    Tables can be narrowed without loss: each holds what the map makes of the wide table, and the
    new map adds them up. Sines and cosines cannot; of these, frequencies that the map weighs most
    stay, and for structures without a charge, what the others gave goes to the map's bias.
    """
    old, new = wide.network.backbone, small.network.backbone
    kept = choice.kept[FEATURES].to(wide.device)
    size, count = architecture.channels, len(kept)
    new.mix_csd.bias.copy_(old.mix_csd.bias[kept])
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
            usual = first(inputs[index].clone()).to(weight)[0]
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
