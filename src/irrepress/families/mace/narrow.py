"""Building the smaller MACE network that a plan describes."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from irrepress.core.irreps import order, write_irreps
from irrepress.core.model import Model, NativeModule
from irrepress.core.plan import Plan
from irrepress.families.e3nn.groups import feature_group, filter_group, message_group
from irrepress.families.generic.layout import copy_kept
from irrepress.families.mace.architecture import Architecture
from irrepress.families.mace.checkpoint import adopt, make_model
from irrepress.families.mace.config import build_network
from irrepress.families.mace.layout import map_layout


def rebuild(
    model: Model,
    config: Mapping[str, Any],
    keep: Mapping[str, Sequence[int]],
    constants: tuple[str, ...] = (),
) -> Model:
    """Build the network of a config with the weights that stay of a model's.

    Args:
        model: the wide model.
        config: arguments of MACE's constructor for the narrow network.
        keep: group -> channels that stay; groups that are absent stay whole.
        constants: names of tensors that the constructor has set.
    """
    network = build_network(config, model.dtype)
    copy_weights(model.network, network, keep, constants)
    return make_model(network, model.modal).to(model.device)


def copy_weights(
    wide: NativeModule,
    narrow: NativeModule,
    keep: Mapping[str, Sequence[int]],
    constants: tuple[str, ...] = (),
) -> None:
    """Copy the weights that stay into a narrow network, in place.

    Args:
        wide: the wide network.
        narrow: the narrow network, as MACE's constructor has built it.
        keep: group -> channels that stay; groups that are absent stay whole.
        constants: names of tensors that the constructor has set.
    """
    layout = map_layout(narrow)
    copy_kept(wide, map_layout(wide), narrow, layout, keep)
    done = {weights.parameter for weights in layout}
    adopt(wide, narrow, keep, done=done, constants=constants)


def narrow_config(
    config: Mapping[str, Any], architecture: Architecture, plan: Plan
) -> dict[str, Any]:
    """Return the constructor's arguments of the narrow network."""
    narrowed = copy.deepcopy(dict(config))
    layers = len(architecture.layers)
    t = min(1, layers - 1)
    kept = {ir: len(plan.keep[feature_group(t, ir)]) for ir in architecture.features[t]}
    hidden = write_irreps(kept)
    narrowed["hidden_irreps"] = hidden
    if layers > 1:
        sent = architecture.layers[1].edges
        edges = write_irreps({ir: len(plan.keep[message_group(1, ir)]) for ir in sent})
        # As in the constructor: without the argument, messages are as wide as features.
        if config["edge_irreps"] is not None or edges != hidden:
            narrowed["edge_irreps"] = edges
    elif architecture.narrow_first:
        narrowed["edge_irreps"] = f"{len(plan.keep[message_group(0, '0e')])}x0e"
    narrowed["max_ell"] = max(order(ir) for ir in architecture.basis if plan.keep[filter_group(ir)])
    narrowed["correlation"] = [len(plan.keep[f"correlation.{t}"]) for t in range(layers)]
    narrowed["radial_MLP"] = [
        len(plan.keep[f"radial.0.{i}"]) for i in range(len(architecture.radial))
    ]
    if architecture.readout:
        narrowed["MLP_irreps"] = f"{len(plan.keep['readout.0.0'])}x0e"
    narrowed["keep_last_layer_irreps"] = layers > 1 and any(
        plan.keep[feature_group(layers, ir)] for ir in architecture.features[-1] if order(ir)
    )
    return narrowed
