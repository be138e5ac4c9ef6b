"""Predictions for losses, faster than mace's code: see `irrepress.families.generic.learning`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.autograd.forward_ad as forward_mode
from torch import Tensor

from irrepress.core.model import Batch, Model, NativeModule, Prediction
from irrepress.families.e3nn.duals import fewer_operations
from irrepress.families.e3nn.neighbour_sums import ChunkedEdges, NeighbourSum, sum_of
from irrepress.families.generic.gates import is_gated
from irrepress.families.generic.graphs import make_prediction, voigt
from irrepress.families.generic.learning import energies_and_slopes
from irrepress.families.mace.element_maps import ElementMap
from irrepress.families.mace.fast_contraction import (
    ByElement,
    Found,
    SymmetricProduct,
    product_of,
)
from irrepress.families.mace.graph import Graph
from irrepress.families.mace.package import FullyConnectedNet, FullyConnectedTensorProduct


@dataclass
class _Parts:
    """What is computed by other code than mace's, for one batch.

    Attributes:
        sums: of each layer's convolution.
        products: of each layer.
        near: the edges.
        by_element: atoms by element.
        together: atoms as if all were of one element.
        found: what products keep.
    """

    sums: Sequence[NeighbourSum]
    products: Sequence[SymmetricProduct]
    near: ChunkedEdges
    by_element: ByElement
    together: ByElement
    found: Found = field(default_factory=dict)


def predict_for_loss(model: Model, batch: Batch) -> Prediction | None:
    """Run the network; see `irrepress.core.family.LearnsFaster`."""
    network, data = model.network, batch.inputs
    if is_gated(model) or torch.is_autocast_enabled("cpu"):
        return None
    sums = [s for each in network.interactions if (s := sum_of(each.conv_tp)) is not None]
    modules = [each.symmetric_contractions for each in network.products]
    products = [p for each in modules if (p := product_of(each)) is not None]
    if len(sums) < len(network.interactions) or len(products) < len(modules):
        return None
    index, structure = data["edge_index"], data["batch"]
    atoms, many = len(structure), len(batch)
    elements = data["node_attrs"].argmax(1)
    vectors = data["positions"][index[1]] - data["positions"][index[0]] + data["shifts"]
    heads = data["head"][structure]
    parameters = [each for each in model.parameters() if each.requires_grad]
    everything = list(network.modules())
    with torch.enable_grad():
        radial = _Radial(
            network, everything, data, torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        )
    parts = _Parts(
        sums,
        products,
        ChunkedEdges(atoms, index[1], index[0], max(each.width for each in sums)),
        ByElement(elements),
        ByElement(torch.zeros_like(elements)),
    )

    def run(vectors: Tensor, *computed: Tensor) -> Tensor:
        lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        functions = radial.functions(lengths, computed)
        with _replaced(network, parts, functions), fewer_operations(everything):
            found = _energies(network, data, vectors, lengths, heads, functions)
        parts.near.forget()
        return found

    with torch.enable_grad():
        atomic, slopes = energies_and_slopes(run, vectors, parameters, radial.tensors)
        alone = network.atomic_energies_fn(data["node_attrs"])[torch.arange(atoms), heads]
        total = alone.new_zeros(many).index_add(0, structure, alone)
        energy = total + atomic.new_zeros(many).index_add(0, structure, atomic)
        forces = torch.zeros_like(data["positions"])
        forces = forces.index_add(0, index[0], slopes).index_add(0, index[1], slopes, alpha=-1)
        # Strains change vectors in proportion to them.
        virial = (vectors.unsqueeze(2) * slopes.unsqueeze(1)).flatten(1)
        virial = virial.new_zeros(many, 9).index_add(0, structure[index[0]], virial).view(-1, 3, 3)
        volume = torch.linalg.det(data["cell"].view(-1, 3, 3)).abs().view(-1, 1, 1)
        stress = (virial + virial.mT) / (2 * volume)
        node_energies = (alone.double() + atomic.double()).to(model.dtype)
    return make_prediction(energy, forces, voigt(stress), node_energies, create_graph=True)


def _energies(
    network: NativeModule,
    data: Graph,
    vectors: Tensor,
    lengths: Tensor,
    heads: Tensor,
    functions: "_Functions",
) -> Tensor:
    """Return what mace adds to the energies of single atoms, ``[atoms]``."""
    attributes, index = data["node_attrs"], data["edge_index"]
    features = network.node_embedding(attributes)
    harmonics = network.spherical_harmonics(vectors)
    rows = torch.arange(len(attributes))
    layers, energies = [], []
    if hasattr(network, "pair_repulsion"):
        numbers = network.atomic_numbers
        energies.append(network.pair_repulsion_fn(lengths, attributes, index, numbers))
    for interaction, product in zip(network.interactions, network.products, strict=True):
        basis, skipped = interaction(
            node_attrs=attributes,
            node_feats=features,
            edge_attrs=harmonics,
            edge_feats=functions.basis,
            edge_index=index,
            cutoff=functions.cutoff,
        )
        features = product(node_feats=basis, sc=skipped, node_attrs=attributes)
        layers.append(features)
    given = layers[-1:] if len(network.readouts) == 1 else layers
    for readout, each in zip(network.readouts, given, strict=True):
        energies.append(readout(each, heads)[rows, heads])
    total = torch.stack(energies).sum(0)
    return network.scale_shift(total, heads) if hasattr(network, "scale_shift") else total


@contextmanager
def _replaced(network: NativeModule, parts: _Parts, functions: "_Functions") -> Iterator[None]:
    """Compute convolutions, products and maps by element in other ways while it lasts."""
    with ExitStack() as stack:

        def replace(module: NativeModule, forward: Callable[..., Any]) -> None:
            module.forward = forward
            stack.callback(delattr, module, "forward")

        for interaction, sum_ in zip(network.interactions, parts.sums, strict=True):
            # Has mace leave the sum over neighbours to the product.
            interaction.conv_fusion = True
            stack.callback(delattr, interaction, "conv_fusion")
            network_ = interaction.conv_tp_weights
            known = functions.hidden.get(network_)
            replace(network_, partial(_hidden, network_) if known is None else lambda _, k=known: k)
            replace(interaction.conv_tp, _Summed(interaction.conv_tp_weights, sum_, parts.near))
            if isinstance(interaction.skip_tp, FullyConnectedTensorProduct):
                replace(interaction.skip_tp, ElementMap(interaction.skip_tp, parts.by_element))
        for product, symmetric in zip(network.products, parts.products, strict=True):
            shared = getattr(product, "use_agnostic_product", False)
            atoms = parts.together if shared else parts.by_element
            replace(product.symmetric_contractions, _Multiplied(symmetric, atoms, parts.found))
        yield


@dataclass(frozen=True)
class _Functions:
    """Functions of the lengths of edges.

    Attributes:
        basis: radial basis, ``[edges, functions]``.
        cutoff: ``[edges, 1]``; None: the basis contains it.
        hidden: of radial networks that read the basis alone, see `_hidden`.
    """

    basis: Tensor
    cutoff: Tensor | None
    hidden: dict[NativeModule, Tensor]


class _Radial:
    """Functions of lengths, computed once for both runs.

    Of them a run needs no more than their values and slopes at the lengths of the batch, with a
    graph of parameters.

    Args:
        network: the network.
        modules: all of its modules.
        data: the graph.
        lengths: of edges, ``[edges, 1]``.

    Attributes:
        tensors: values and slopes, in turn.
    """

    def __init__(
        self, network: NativeModule, modules: Sequence[NativeModule], data: Graph, lengths: Tensor
    ):
        self._lengths = lengths
        self._read = [
            found
            for each in network.interactions
            if isinstance(found := each.conv_tp_weights, FullyConnectedNet)
        ]
        attributes, index, numbers = data["node_attrs"], data["edge_index"], network.atomic_numbers
        leaf = lengths.clone().requires_grad_(True)
        basis, cutoff = network.radial_embedding(leaf, attributes, index, numbers)
        self._cut = cutoff is not None
        trained = any(each.requires_grad for each in network.radial_embedding.parameters())
        self.tensors = list(_with_slopes(basis, leaf, trained))
        if cutoff is not None:
            self.tensors += _with_slopes(cutoff, leaf, trained)
        with forward_mode.dual_level(), fewer_operations(modules):
            moving = forward_mode.make_dual(*self.tensors[:2])
            for each in self._read:
                self.tensors += forward_mode.unpack_dual(_hidden(each, moving))

    def functions(self, lengths: Tensor, tensors: Sequence[Tensor]) -> _Functions:
        """Return functions that can be differentiated by lengths once.

        Args:
            lengths: those of the batch, with a graph or tangents.
            tensors: what stands for `tensors`.
        """
        change, tangents = forward_mode.unpack_dual(lengths - self._lengths)
        pairs = zip(tensors[::2], tensors[1::2], strict=True)
        if tangents is None:
            found = [torch.addcmul(values, slopes, change) for values, slopes in pairs]
        else:
            found = [forward_mode.make_dual(each, slopes * tangents) for each, slopes in pairs]
        cutoff = found[1] if self._cut else None
        hidden = dict(zip(self._read, found[1 + self._cut :], strict=True))
        return _Functions(found[0], cutoff, hidden)


def _with_slopes(values: Tensor, lengths: Tensor, graph: bool) -> tuple[Tensor, Tensor]:
    """Return functions and their slopes, with a graph of parameters or without.

    Going backward twice takes torch fewer operations than forward-mode differentiation, which
    multiplies by the tangents of all constants, too.
    """
    weights = torch.zeros_like(values).requires_grad_(True)
    (total,) = torch.autograd.grad(values, lengths, weights, create_graph=True)
    (slopes,) = torch.autograd.grad(total.sum(), weights, create_graph=graph)
    return (values, slopes) if graph else (values.detach(), slopes.detach())


def _hidden(network: NativeModule, radial: Tensor) -> Tensor:
    """Return what the last map of a radial network reads, which sums over neighbours apply."""
    if isinstance(network, FullyConnectedNet):
        for step in list(network)[:-1]:
            radial = step(radial)
        return radial
    radial = network.net[:-1](radial)
    return torch.cat([radial, torch.ones_like(radial[:, :1])], dim=1)  # for the map's offsets


class _Summed:
    """What a convolution and its sum over neighbours do."""

    def __init__(self, radial: NativeModule, sum_: NeighbourSum, near: ChunkedEdges):
        self.radial, self.sum, self.near = radial, sum_, near

    def __call__(self, features: Tensor, harmonics: Tensor, hidden: Tensor, _: Tensor) -> Tensor:
        if isinstance(self.radial, FullyConnectedNet):
            *_, last = self.radial
            maps = last(torch.eye(hidden.shape[1], dtype=hidden.dtype))
        else:
            last = self.radial.net[-1]
            maps = torch.cat([last.weight.t(), last.bias.unsqueeze(0)])
        return self.sum(self.near, features, harmonics, hidden, maps)


class _Multiplied:
    """What symmetric contractions do."""

    def __init__(self, product: SymmetricProduct, atoms: ByElement, found: Found):
        self.product, self.atoms, self.found = product, atoms, found

    def __call__(self, basis: Tensor, _: Tensor) -> Tensor:
        return self.product(basis, self.atoms, self.found)
