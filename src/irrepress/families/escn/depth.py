"""eSCN-MD networks of some of their layers alone, without training.

All layers are alike: each adds to the features, which pass it. Where layers are dropped, what they
would have added is missing, and compensation lets the layer before them add it
(`irrepress.families.escn.fits`).
"""

import copy
from collections.abc import Sequence
from dataclasses import replace

from irrepress.core.model import Model
from irrepress.families.escn import checkpoint
from irrepress.families.escn.architecture import read_architecture
from irrepress.families.escn.gates import make_groups
from irrepress.families.generic.depth import own_groups, with_modules


def drop(model: Model, layers: Sequence[int]) -> Model:
    """Return the model with some layers alone; see `irrepress.core.family.DropsLayers`."""
    native = copy.deepcopy(model.native)
    native["model_config"]["backbone"]["num_layers"] = len(layers)
    fewer = checkpoint.build(native, modal=model.modal, dtype=model.dtype).to(model.device)
    given = with_modules(model.network, {"backbone.blocks": layers})
    fewer.network.load_state_dict(given.state_dict())
    for name, parameter in fewer.network.named_parameters():
        parameter.requires_grad_(given.get_parameter(name).requires_grad)
    return fewer


def groups_with_layers(model: Model, layers: Sequence[int]) -> dict[str, str]:
    """Return group of the model with some layers -> group here; see `DropsLayers`."""
    architecture = read_architecture(model.native)
    return own_groups(make_groups(replace(architecture, layers=len(layers))), layers)
