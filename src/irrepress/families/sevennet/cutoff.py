"""SevenNet networks that see less far, without training; see `irrepress.families.e3nn.cutoff`."""

import copy
from collections.abc import Mapping
from functools import partial

import sevenn._keys as KEY
import torch
from torch import Tensor

from irrepress.core.model import Model, NativeModule
from irrepress.families.e3nn.cutoff import (
    STEEPNESS,
    change_of_basis,
    distances,
    fit,
    in_float64,
    with_steps,
)
from irrepress.families.sevennet import checkpoint
from irrepress.families.sevennet.architecture import EDGES


def shorten(model: Model, cutoff: float) -> Model:
    """Return the model with a shorter cutoff in Å; see `irrepress.core.family.ShortensCutoff`."""
    config = copy.deepcopy(model.native)
    config[KEY.CUTOFF] = cutoff
    config[KEY.CUTOFF_FUNCTION] = {
        KEY.CUTOFF_FUNCTION_NAME: "poly_cut",
        KEY.POLY_CUT_P: STEEPNESS,
    }
    network = checkpoint.build(config).to(torch.float64)
    network.load_state_dict(checkpoint.own_state(model.network.state_dict()))
    modules: Mapping[str, NativeModule] = network._modules
    radii = distances(cutoff)
    old_edges, new_edges = in_float64(model.network._modules[EDGES]), modules[EDGES]
    # Basis functions have the factor 2 / cutoff.
    change = change_of_basis(
        _inputs(old_edges, radii), _inputs(new_edges, radii), cutoff / model.cutoff
    )
    old_inputs, new_inputs = (_inputs(each, with_steps(radii)) for each in (old_edges, new_edges))
    for name, module in modules.items():
        if name.endswith("_convolution"):
            old, new = in_float64(model.network._modules[name].weight_nn), module.weight_nn
            with torch.no_grad():
                new.layer0.weight.copy_(change @ new.layer0.weight)
                target = old(old_inputs)
            fit(f"{name}.weight_nn", partial(new, new_inputs), new.parameters(), target, radii)
    network = network.to(device=model.device, dtype=model.dtype)
    return checkpoint.make_model(network, config, model.modal)


@torch.no_grad()
def _inputs(edges: NativeModule, radii: Tensor) -> Tensor:
    """Return the radial basis times the envelope, which radial networks read."""
    return edges.basis_function(radii) * edges.cutoff_function(radii)[:, None]
