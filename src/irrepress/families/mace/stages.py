"""Running a MACE network layer by layer, so that it can go on where it was left.

MACE runs as a whole only. What its forward pass does before, in and after the layers is done here
with the same modules.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from irrepress.core.model import Batch, Model
from irrepress.families.generic.fits import Standing
from irrepress.families.mace.graph import Graph


@dataclass(frozen=True)
class Stage(Standing):
    """A network that has run up to a layer, which has not run.

    Attributes:
        layer: the layer.
        features: what would enter it, ``[atoms, dimension]``.
        inputs: elements, edges, and functions of their vectors.
    """

    layer: int
    features: Tensor
    inputs: Graph


@torch.no_grad()
def begin(model: Model, batch: Batch) -> Stage:
    """Return a network's state before its first layer."""
    network, data = model.network, batch.inputs
    elements, edges = data["node_attrs"], data["edge_index"]
    vectors = data["positions"][edges[1]] - data["positions"][edges[0]] + data["shifts"]
    lengths = torch.linalg.norm(vectors, dim=-1, keepdim=True)
    radial, cutoff = network.radial_embedding(lengths, elements, edges, network.atomic_numbers)
    inputs = Graph(
        node_attrs=elements,
        edge_index=edges,
        edge_attrs=network.spherical_harmonics(vectors),
        edge_feats=radial,
        heads=data["head"][data["batch"]],
    )
    if cutoff is not None:
        inputs["cutoff"] = cutoff
    return Stage(0, network.node_embedding(elements), inputs)


@torch.no_grad()
def run_layers(model: Model, stage: Stage, layer: int) -> Stage:
    """Run the network on to a layer, which does not run."""
    network, inputs = model.network, stage.inputs
    features = stage.features
    for t in range(stage.layer, layer):
        basis, passed = network.interactions[t](
            node_attrs=inputs["node_attrs"],
            node_feats=features,
            edge_attrs=inputs["edge_attrs"],
            edge_feats=inputs["edge_feats"],
            edge_index=inputs["edge_index"],
            cutoff=inputs.get("cutoff"),
            first_layer=t == 0,
        )
        features = network.products[t](node_feats=basis, sc=passed, node_attrs=inputs["node_attrs"])
    return replace(stage, layer=max(stage.layer, layer), features=features)


@torch.no_grad()
def run_readouts(model: Model, stage: Stage, layers: Sequence[int]) -> Stage:
    """Run the readouts behind some layers, and the network as far as they need it."""
    network, inputs = model.network, stage.inputs
    first = len(network.interactions) - len(network.readouts)
    for t in layers:
        stage = run_layers(model, stage, t + 1)
        network.readouts[t - first](stage.features, inputs["heads"])
    return stage
