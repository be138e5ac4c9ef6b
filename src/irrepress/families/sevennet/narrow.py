"""Building the smaller SevenNet network that a plan describes."""

import copy
from collections.abc import Mapping
from typing import Any

import sevenn._keys as KEY
import torch
from torch import Tensor

from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.families.e3nn.narrowing import (
    Segment,
    copy_rest,
    narrow_fully_connected,
    narrow_linear,
    narrow_linear_chain,
    narrow_tensor_product,
    segments,
)
from irrepress.families.sevennet import checkpoint
from irrepress.families.sevennet.architecture import (
    EMBEDDING,
    ENERGY,
    HIDDEN,
    MLP_READOUT,
    Architecture,
    gate_irrep,
    order,
    read_architecture,
    read_paths,
)
from irrepress.families.sevennet.gates import (
    feature_group,
    filter_group,
    make_groups,
    message_group,
)

# irrep -> indices of the kept channels, for every irrep of the wide network
Kept = dict[str, Tensor]


def narrow(model: Model, plan: Plan) -> Model:
    """Build the narrow model; see `irrepress.core.family.Family.narrow`."""
    architecture = read_architecture(model.network)
    plan.check(make_groups(architecture))
    features, messages = _kept_channels(architecture, plan)
    config = narrow_config(model.native, architecture, plan)
    network = checkpoint.build(config).to(model.dtype)
    old, new = model.network._modules, network._modules

    narrow_linear(old[EMBEDDING].linear, new[EMBEDDING].linear, {}, _first(features[0]))
    done = [new[EMBEDDING]]
    for t in range(architecture.layers):
        leaving, channels = features[t + 1], architecture.features[t + 1]
        done += _narrow_layer(old, new, t, features[t], messages[t], leaving, channels)
    done += _narrow_readout(old, new, features[-1])
    copy_rest(model.network, network, done)
    return checkpoint.make_model(network.to(model.device), config, model.modal)


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


def _kept_channels(architecture: Architecture, plan: Plan) -> tuple[list[Kept], list[Kept]]:
    def indices(name: str) -> Tensor:
        return torch.tensor(plan.keep[name], dtype=torch.long)

    features = [
        {irrep: indices(feature_group(t, irrep)) for irrep in channels}
        for t, channels in enumerate(architecture.features)
    ]
    messages = [
        {irrep: indices(message_group(t, irrep)) for irrep in channels}
        for t, channels in enumerate(architecture.features[:-1])
    ]
    return features, messages


def _narrow_layer(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    t: int,
    entering: Kept,
    sent: Kept,
    leaving: Kept,
    channels: Mapping[str, int],
) -> list[torch.nn.Module]:
    """Narrow layer t; return the modules of the narrow network that are complete.

    Args:
        old: modules of the wide network.
        new: modules of the narrow network.
        t: the layer.
        entering: kept channels of the features that enter it.
        sent: kept channels of the features that its convolution sends.
        leaving: kept channels of the features that leave it.
        channels: irrep -> channels of the wide features that leave it.
    """
    columns, rows = gate_columns(channels, leaving), _first(entering)

    name = f"{t}_self_connection_intro"
    if hasattr(old[name], "linear"):
        narrow_linear(old[name].linear, new[name].linear, rows, columns)
    else:
        wide, small = old[name].fc_tensor_product, new[name].fc_tensor_product
        narrow_tensor_product(wide, small, rows, {}, columns)
    done = [new[name]]

    name = f"{t}_self_interaction_1"
    narrow_linear(old[name].linear, new[name].linear, rows, _first(sent))
    done.append(new[name])

    wide, small = old[f"{t}_convolution"], new[f"{t}_convolution"]
    offsets = {(p.source, p.filter, p.target): p.offset for p in read_paths(wide)}
    radial = [sent[p.source] + offsets[p.source, p.filter, p.target] for p in read_paths(small)]
    outputs = torch.cat(radial) if radial else torch.empty(0, dtype=torch.long)
    narrow_fully_connected(wide.weight_nn, small.weight_nn, outputs=outputs)
    done.append(small.weight_nn)

    name = f"{t}_self_interaction_2"
    narrow_linear(old[name].linear, new[name].linear, _message_rows(wide, small, sent), columns)
    done.append(new[name])
    return done


def _message_rows(wide: Any, small: Any, sent: Kept) -> dict[Segment, Tensor]:
    """Return the rows of self_interaction_2: messages of one irrep lie path after path."""
    survivors = {(p.source, p.filter, p.target) for p in read_paths(small)}
    rows: dict[Segment, list[Tensor]] = {}
    start: dict[str, int] = {}
    for path in read_paths(wide):
        offset = start.get(path.target, 0)
        start[path.target] = offset + path.channels
        if (path.source, path.filter, path.target) in survivors:
            rows.setdefault((path.target, 0), []).append(sent[path.source] + offset)
    return {segment: torch.cat(parts) for segment, parts in rows.items()}


def gate_columns(channels: Mapping[str, int], leaving: Kept) -> dict[Segment, Tensor]:
    """Return the kept columns of what enters a gate.

    Each gated channel takes its gating scalar with it; these come after the scalars.

    Args:
        channels: irrep -> channels of the wide features that leave the gate.
        leaving: which of them are kept.
    """
    columns = _first(leaving)
    gating = gate_irrep(channels)
    parts = [leaving[gating]] if gating in leaving else []
    offset = channels.get(gating, 0)
    for irrep, count in channels.items():
        if order(irrep) > 0:
            parts.append(leaving[irrep] + offset)
            offset += count
    columns[gating, 0] = torch.cat(parts)
    return columns


def _narrow_readout(
    old: Mapping[str, Any], new: Mapping[str, Any], features: Kept
) -> list[torch.nn.Module]:
    """Narrow the readout; return the modules of the narrow network that are complete."""
    if MLP_READOUT in old:
        inputs = torch.cat([features[irrep] for irrep, _ in segments(old[MLP_READOUT].irreps_in)])
        narrow_fully_connected(old[MLP_READOUT].fcn, new[MLP_READOUT].fcn, inputs=inputs)
        return [new[MLP_READOUT]]
    # sevenn ties the number of hidden channels to that of the features: factorize anew. Inputs
    # are the scalars among the features and, in multi-modal models, the one-hot modal.
    wide, small = old[HIDDEN].linear, new[HIDDEN].linear
    rows = []
    for _, path, weight in wide.weight_views(yield_instruction=True):
        irrep, occurrence = segments(wide.irreps_in)[path.i_in]
        kept = weight[features[irrep]] if occurrence == 0 else weight
        rows.append(kept.double() * path.path_weight)
    (_, path, weight), *_ = old[ENERGY].linear.weight_views(yield_instruction=True)
    first, second = narrow_linear_chain(
        torch.cat(rows), weight.double() * path.path_weight, small.irreps_out.dim
    )
    start = 0
    with torch.no_grad():
        for _, path, weight in small.weight_views(yield_instruction=True):
            weight.copy_(first[start : start + len(weight)] / path.path_weight)
            start += len(weight)
        (_, path, weight), *_ = new[ENERGY].linear.weight_views(yield_instruction=True)
        weight.copy_(second / path.path_weight)
    return [new[HIDDEN], new[ENERGY]]


def _first(kept: Kept) -> dict[Segment, Tensor]:
    """Name the kept channels by segment; later segments of an irrep belong to the modal."""
    return {(irrep, 0): indices for irrep, indices in kept.items()}
