"""SevenNet networks of some of their layers alone, without training.

Layer t turns the features that enter it into those that enter layer t + 1. Where layers are
dropped in between, a layer hands its features to one that was trained to read others of the same
irreps: what leaves it must be fitted to what that layer reads, which compensation does
(`irrepress.families.sevennet.fits`). Where the irreps differ, the channels that both have stay.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace

import sevenn._keys as KEY
import torch

from irrepress.core.irreps import write_irreps
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.families.e3nn.groups import feature_group, message_group
from irrepress.families.generic.depth import own_groups
from irrepress.families.sevennet import checkpoint
from irrepress.families.sevennet.architecture import Architecture, read_architecture
from irrepress.families.sevennet.groups import make_groups
from irrepress.families.sevennet.layout import make_layout
from irrepress.families.sevennet.narrow import copy_weights, narrow_config

# Keys of sevenn's config that hold one value a layer, or one for all.
_BY_LAYER = (KEY.CONV_DENOMINATOR, KEY.AVG_NUM_NEIGH)


def drop(model: Model, layers: Sequence[int]) -> Model:
    """Return the model with some layers alone; see `irrepress.core.family.DropsLayers`."""
    architecture = read_architecture(model.network)
    features, keep = _features(architecture, layers), _keep(architecture, layers)
    config = narrow_config(model.native, architecture, Plan.identity(make_groups(architecture)))
    config[KEY.IRREPS_MANUAL] = [write_irreps(each) for each in features]
    config[KEY.NUM_CONVOLUTION] = len(layers)
    for key in _BY_LAYER:
        if isinstance(config.get(key), list):
            config[key] = [config[key][t] for t in layers]
    # The modules of the layers to keep, under the names that they will have.
    wide = torch.nn.Module()
    for name, module in model.network._modules.items():
        if (renamed := _renamed(name, layers)) is not None:
            wide.add_module(renamed, module)
    layout = [
        replace(weights, parameter=renamed)
        for weights in make_layout(model.network)
        if (renamed := _renamed(weights.parameter, layers)) is not None
    ]
    narrow = checkpoint.build(copy.deepcopy(config)).to(model.dtype)
    copy_weights(wide, layout, narrow, keep)
    return checkpoint.make_model(narrow.to(model.device), config, model.modal)


def groups_with_layers(model: Model, layers: Sequence[int]) -> dict[str, str]:
    """Return group of the model with some layers -> group here; see `DropsLayers`."""
    architecture = read_architecture(model.network)
    fewer = replace(architecture, features=tuple(_features(architecture, layers)))
    return own_groups(make_groups(fewer), architecture.read_by(layers))


def _features(architecture: Architecture, layers: Sequence[int]) -> list[dict[str, int]]:
    """Return the irreps of the features that enter each layer that is kept, and the readout.

    Of those that are written and those that are read, the common channels.
    """
    written = [0, *(t + 1 for t in layers)]
    return [
        {
            irrep: min(channels, given)
            for irrep, channels in architecture.features[reads].items()
            if (given := architecture.features[writes].get(irrep, 0))
        }
        for writes, reads in zip(written, architecture.read_by(layers), strict=True)
    ]


def _keep(architecture: Architecture, layers: Sequence[int]) -> dict[str, range]:
    """Return group of the parent -> channels that stay, of what is written and what is read."""
    written = [0, *(t + 1 for t in layers)]
    keep = {}
    features = _features(architecture, layers)
    for writes, reads, common in zip(written, architecture.read_by(layers), features, strict=True):
        for t in (writes, reads):
            for irrep in architecture.features[t]:
                kept = range(common.get(irrep, 0))
                keep[feature_group(t, irrep)] = kept
                if t == reads:
                    keep[message_group(t, irrep)] = kept
    return keep


def _renamed(name: str, layers: Sequence[int]) -> str | None:
    """Return the name that a module or parameter has after other layers went; None: it went."""
    first, _, rest = name.partition("_")
    if not first.isdecimal():
        return name
    return f"{layers.index(int(first))}_{rest}" if int(first) in layers else None
