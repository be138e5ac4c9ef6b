"""MACE networks of some of their layers alone, without training.

A layer of MACE is an interaction and the product that follows. MACE's constructor builds the first
one for scalars, all others for features of every order, and lets the last one give scalars to a
non-linear readout; the readouts of the others are linear. So the first layer of the parent stays
the first, and the last the last. A single layer is the parent's first with its linear readout:
such a model predicts what the parent's first layer contributes to the energy.

Where layers are dropped in between, a layer hands its features to one that was trained to read
others of the same irreps, and the energy lacks what the readouts of the layers that went
contribute. Compensation fits both (`irrepress.families.mace.fits`).
"""

from collections.abc import Sequence
from dataclasses import replace

from irrepress.core.layers import evenly
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.families.e3nn.groups import feature_group
from irrepress.families.generic.depth import own_groups, with_modules
from irrepress.families.mace.architecture import Architecture, read_architecture
from irrepress.families.mace.checkpoint import make_model
from irrepress.families.mace.config import build_network
from irrepress.families.mace.groups import make_groups
from irrepress.families.mace.narrow import copy_weights, narrow_config


def needed(model: Model, layers: Sequence[int]) -> dict[int, str]:
    """Return the layers that must stay; see `irrepress.core.family.DropsLayers.needed_layers`."""
    last = model.layers - 1
    found = {0: "which reads the embedding of the elements"}
    if model.native["use_last_readout_only"]:
        found[last] = "which the only readout follows"
    elif len(layers) > 1:
        found[last] = "whose non-linear readout MACE builds behind the last of several layers"
    return found


def to_keep(model: Model, count: int) -> tuple[int, ...]:
    """Return which layers stay; see `irrepress.core.family.DropsLayers.layers_to_keep`."""
    return (0,) if count == 1 else evenly(model.layers, count)


def drop(model: Model, layers: Sequence[int]) -> Model:
    """Return the model with some layers alone; see `irrepress.core.family.DropsLayers`."""
    architecture = read_architecture(model.network)
    fewer = _with_layers(architecture, layers)
    config = narrow_config(model.native, fewer, Plan.identity(make_groups(fewer)))
    config["num_interactions"] = len(layers)
    network = build_network(config, model.dtype)
    # Orders of the last features that a single layer does not give.
    left = architecture.features[layers[-1] + 1].keys() - fewer.features[-1].keys()
    keep = {feature_group(len(layers), irrep): () for irrep in left}
    first = len(model.network.interactions) - len(model.network.readouts)
    readouts = [t - first for t in layers if t >= first]
    chosen = {"interactions": layers, "products": layers, "readouts": readouts}
    # The constructor sets how many layers there are.
    constants = ("num_interactions",)
    copy_weights(with_modules(model.network, chosen), network, keep, constants)
    return make_model(network, model.modal).to(model.device)


def groups_with_layers(model: Model, layers: Sequence[int]) -> dict[str, str]:
    """Return group of the model with some layers -> group here; see `DropsLayers`."""
    groups = make_groups(_with_layers(read_architecture(model.network), layers))
    return own_groups(groups, [*layers, layers[-1] + 1], apart=["readout"])


def _with_layers(architecture: Architecture, layers: Sequence[int]) -> Architecture:
    """Return the architecture of the network of some layers."""
    chosen = tuple(architecture.layers[t] for t in layers)
    entering = tuple(architecture.features[t] for t in layers)
    leaving = architecture.features[layers[-1] + 1]
    if len(layers) > 1:
        return replace(architecture, features=(*entering, leaving), layers=chosen)
    # The features of a single layer are scalars, which a linear readout reads.
    return replace(
        architecture,
        features=(*entering, {"0e": leaving["0e"]}),
        layers=chosen,
        readout=0,
        readout_layers=0,
    )
