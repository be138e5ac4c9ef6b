"""Building the smaller SevenNet network that a plan describes."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import sevenn._keys as KEY
import torch

from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.families.generic.layout import Layout, copy_kept, copy_rest, kept_indices
from irrepress.families.sevennet import checkpoint
from irrepress.families.sevennet.architecture import (
    ENERGY,
    HIDDEN,
    Architecture,
    order,
)
from irrepress.families.sevennet.gates import feature_group, filter_group
from irrepress.families.sevennet.layout import READOUT, make_layout


def narrow_config(
    config: Mapping[str, Any], architecture: Architecture, plan: Plan
) -> dict[str, Any]:
    """Return sevenn's config of the narrow network."""
    irreps = []
    for t, features in enumerate(architecture.features):
        kept = {irrep: len(plan.keep[feature_group(t, irrep)]) for irrep in features}
        irreps.append("+".join(f"{count}x{irrep}" for irrep, count in kept.items() if count))
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
    wide, narrow = model.network, checkpoint.build(config).to(model.dtype)
    old, new = make_layout(wide), make_layout(narrow)
    readout = [weights for weights in new if weights.parameter == f"{ENERGY}.linear.weight"]
    if readout:
        # sevenn ties the number of hidden channels to that of the features.
        (weights,) = readout
        size = wide.get_parameter(weights.parameter).abs()
        kept = size.topk(weights.shape[0]).indices.sort().values
        keep = {**keep, READOUT: kept.tolist()}
    copy_kept(wide, old, narrow, new, keep)
    copy_rest(wide, narrow, old)
    if readout:
        _refactorize(wide, old, narrow, new, keep)
    return checkpoint.make_model(narrow.to(model.device), config, model.modal)


@torch.no_grad()
def _refactorize(
    wide: torch.nn.Module,
    old: Layout,
    narrow: torch.nn.Module,
    new: Layout,
    keep: Mapping[str, Sequence[int]],
) -> None:
    """Let a linear readout with fewer hidden channels give what it gave, in place.

    Two linear maps in a row are one, so that what the removed hidden channels contributed to the
    only output can be added to the first map: by the smallest change that gives the product.
    """
    first, second = (
        [
            [weights for weights in layout if weights.parameter == f"{name}.linear.weight"]
            for layout in (old, new)
        ]
        for name in (HIDDEN, ENERGY)
    )
    before, after = (
        each[0].values(network).cpu() for network, each in zip((wide, narrow), second, strict=True)
    )
    norm = after.square().sum()
    if norm == 0:
        return
    for source, target in zip(*first, strict=True):
        rows = kept_indices(source.axes[0], keep)
        product = source.values(wide).cpu()[rows] @ before
        missing = product - target.values(narrow) @ after
        target.view(narrow).add_(missing @ after.T / norm / target.scale)
