"""Building the smaller SevenNet network that a plan describes."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import sevenn._keys as KEY
import torch
from torch import Tensor

from irrepress.core.irreps import order, write_irreps
from irrepress.core.model import Model, NativeModule
from irrepress.core.plan import Plan
from irrepress.families.e3nn.groups import feature_group, filter_group
from irrepress.families.generic.layout import Layout, copy_kept, copy_rest, kept_indices
from irrepress.families.sevennet import checkpoint
from irrepress.families.sevennet.architecture import (
    HIDDEN,
    MLP_READOUT,
    Architecture,
)
from irrepress.families.sevennet.fits import readout_maps, set_readout
from irrepress.families.sevennet.layout import READOUT, make_layout


def narrow_config(
    config: Mapping[str, Any], architecture: Architecture, plan: Plan
) -> dict[str, Any]:
    """Return sevenn's config of the narrow network."""
    irreps = []
    for t, features in enumerate(architecture.features):
        kept = {irrep: len(plan.keep[feature_group(t, irrep)]) for irrep in features}
        irreps.append(write_irreps(kept))
    highest = max(order(irrep) for irrep in architecture.filter if plan.keep[filter_group(irrep)])
    narrowed = copy.deepcopy(dict(config))
    narrowed[KEY.IRREPS_MANUAL] = irreps
    # With irreps_manual, lmax is the filter's order and nothing else; lmax_edge could not be 0.
    narrowed[KEY.LMAX] = highest
    narrowed[KEY.LMAX_EDGE] = narrowed[KEY.LMAX_NODE] = -1
    narrowed[KEY.NODE_FEATURE_MULTIPLICITY] = len(plan.keep[feature_group(0, "0e")])
    return narrowed


def rebuild(model: Model, config: dict[str, Any], keep: Mapping[str, Sequence[int]]) -> Model:
    """Build the network of a config with the weights that stay of a model's.

    Args:
        model: the wide model.
        config: sevenn's config of the narrow network.
        keep: group -> channels that stay; groups that are absent stay whole.
    """
    narrow = checkpoint.build(config).to(model.dtype)
    copy_weights(model.network, make_layout(model.network), narrow, keep)
    return checkpoint.make_model(narrow.to(model.device), config, model.modal)


def copy_weights(
    wide: NativeModule, layout: Layout, narrow: NativeModule, keep: Mapping[str, Sequence[int]]
) -> None:
    """Copy the weights that stay into a narrow network, in place.

    Args:
        wide: the wide network.
        layout: its layout.
        narrow: the narrow network, as sevenn's constructor has built it.
        keep: group -> channels that stay; groups that are absent stay whole.
    """
    linear_readout = MLP_READOUT not in narrow._modules
    if linear_readout:
        # sevenn ties the number of hidden channels to that of the features.
        first, second = readout_maps(wide)
        hidden = len(readout_maps(narrow)[1])
        kept = second[:, 0].abs().topk(hidden).indices.sort().values
        keep = {**keep, READOUT: kept.tolist()}
    copy_kept(wide, layout, narrow, make_layout(narrow), keep)
    copy_rest(wide, narrow, layout)
    if linear_readout:
        # Two linear maps in a row are one, so that what the removed hidden channels contributed to
        # the only output can be added to the first map.
        set_readout(narrow, (first @ second)[_kept_inputs(layout, keep)])


def _kept_inputs(layout: Layout, keep: Mapping[str, Sequence[int]]) -> Tensor:
    """Return which inputs of a linear readout stay."""
    found, start = [], 0
    for weights in layout:
        if weights.parameter == f"{HIDDEN}.linear.weight":
            found.append(start + kept_indices(weights.axes[0], keep))
            start += weights.shape[0]
    return torch.cat(found)
