"""The architecture of a narrowed network from widths alone, for counting costs."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from irrepress.families.e3nn.paths import products
from irrepress.families.mace.architecture import (
    Architecture,
    dim,
    order,
    read_architecture,
)
from irrepress.families.mace.contraction import contractions, couplings, live_paths
from irrepress.families.mace.groups import HIDDEN, edge_key, filter_group, hidden_key

# widths (width key -> channels kept, absent keys at full width)
Widths = Mapping[str, int]


@dataclass(frozen=True)
class LayerSizes:
    """One layer.

    Attributes:
        kind: as in `architecture.Layer`.
        density: as in `architecture.Layer`.
        entering: irrep -> channels of the features that enter.
        leaving: the same of those that leave.
        edges: the same of what is sent along edges.
        basis: irreps of the atomic basis and of the filter.
        paths: ``(source, filter, target)`` of the convolution.
        correlation: highest order of the product.
        orders: irrep of the product -> number of its paths by order, the first of order 1.
    """

    kind: str
    density: bool
    entering: dict[str, int]
    leaving: dict[str, int]
    edges: dict[str, int]
    basis: tuple[str, ...]
    paths: tuple[tuple[str, str, str], ...]
    correlation: int
    orders: dict[str, tuple[int, ...]]

    @property
    def rows(self) -> dict[str, int]:
        """Channels of messages by irrep, all paths together."""
        found: dict[str, int] = {}
        for source, _, target in self.paths:
            found[target] = found.get(target, 0) + self.edges[source]
        return found

    @property
    def weights(self) -> int:
        """Number of radial weights per edge."""
        return sum(self.edges[source] for source, _, _ in self.paths)


@dataclass(frozen=True)
class Sizes:
    """All layers, and what they share.

    Attributes:
        hidden: channels of embedding and atomic basis.
        layers: the layers.
        radial: hidden widths of radial networks.
        readout: hidden width of the readout of one head.
    """

    hidden: int
    layers: tuple[LayerSizes, ...]
    radial: tuple[int, ...]
    readout: int


class SizeModel:
    """From widths to sizes, for one network of any widths."""

    def __init__(self, network: torch.nn.Module):
        self.architecture: Architecture = read_architecture(network)
        # Number of weights by layer, irrep and order, for every number of orders of the filter.
        self._orders: list[dict[str, dict[int, tuple[int, ...]]]] = []
        basis = self.architecture.basis
        components = {len(basis[:n]): sum(map(dim, basis[:n])) for n in range(1, len(basis) + 1)}
        for t in range(len(self.architecture.layers)):
            found = {}
            for irrep, module in contractions(network, t).items():
                tensors = [
                    couplings(module, nu + 1)
                    for nu in range(self.architecture.layers[t].correlation)
                ]
                found[irrep] = {
                    n: tuple(live_paths(u, size) for u in tensors) for n, size in components.items()
                }
            self._orders.append(found)

    def __call__(self, widths: Widths) -> Sizes:
        """Return the sizes of a network of some widths."""
        architecture = self.architecture
        kept = [
            {
                irrep: count
                for irrep, channels in features.items()
                if (count := widths.get(hidden_key(irrep), channels))
            }
            for features in architecture.features
        ]
        highest = max(
            order(irrep) for irrep in architecture.basis if widths.get(filter_group(irrep), 1)
        )
        basis = architecture.basis[: max(highest, 1) + 1]
        layers = []
        for t, layer in enumerate(architecture.layers):
            edges = {
                irrep: count
                for irrep, channels in layer.edges.items()
                if (count := widths.get(edge_key(architecture, t, irrep), channels))
            }
            correlation = widths.get(f"correlation.{t}", layer.correlation)
            layers.append(
                LayerSizes(
                    kind=layer.kind,
                    density=layer.density,
                    entering=kept[t],
                    leaving=kept[t + 1],
                    edges=edges,
                    basis=basis,
                    paths=tuple(
                        (source, f, target)
                        for source in edges
                        for f in basis
                        for target in products(source, f)
                        if target in basis
                    ),
                    correlation=correlation,
                    orders={
                        irrep: self._orders[t][irrep][len(basis)][:correlation]
                        for irrep in kept[t + 1]
                    },
                )
            )
        return Sizes(
            hidden=widths.get(HIDDEN, architecture.channels),
            layers=tuple(layers),
            radial=tuple(
                widths.get(f"radial.{i}", width) for i, width in enumerate(architecture.radial)
            ),
            readout=widths.get("readout", architecture.readout),
        )
