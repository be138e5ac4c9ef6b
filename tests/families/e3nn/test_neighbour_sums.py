"""Sums over neighbours in chunks: what e3nn computes edge by edge, for losses on slopes, too."""

import pytest
import torch
from channelwise_products import channelwise, irreps_of
from e3nn.o3 import TensorProduct, spherical_harmonics
from hypothesis import given, settings
from hypothesis import strategies as st

from irrepress.families.e3nn import neighbour_sums
from irrepress.families.e3nn.neighbour_sums import ChunkedEdges, NeighbourSum, sum_of
from irrepress.families.generic.learning import energies_and_slopes

HIDDEN = 4


class Network:
    """Two layers of one product over a random graph, as functions of its edge vectors."""

    def __init__(self, product: TensorProduct, atoms: int, edges: int):
        torch.manual_seed(0)
        self.product, self.atoms = product, atoms
        self.centres = torch.randint(0, max(1, atoms // 2), (edges,))  # some have no neighbours
        self.sources = torch.randint(0, atoms, (edges,))
        self.vectors = torch.randn(edges, 3, dtype=torch.float64)
        dim, out = product.irreps_in1.dim, product.irreps_out.dim
        shapes = ((atoms, dim), (1, HIDDEN), (HIDDEN, product.weight_numel), (out, dim))
        self.parameters = [
            torch.randn(shape, dtype=torch.float64).requires_grad_(True) for shape in shapes
        ]

    def usual(self, vectors, convolve) -> torch.Tensor:
        features, radial, maps, back = self.parameters
        harmonics = spherical_harmonics(
            list(range(self.product.irreps_in2.lmax + 1)), vectors, True, "component"
        )
        hidden = torch.tanh(vectors.square().sum(1, keepdim=True) * radial)
        for _ in range(2):
            features = torch.tanh(convolve(features, harmonics, hidden, maps) @ back)
        return features.sum(1)

    def edge_by_edge(self, features, harmonics, hidden, maps) -> torch.Tensor:
        messages = self.product(features[self.sources], harmonics, hidden @ maps)
        return messages.new_zeros(self.atoms, messages.shape[1]).index_add(
            0, self.centres, messages
        )

    def in_chunks(self, near: ChunkedEdges):
        # Each layer asks for a sum of its own, as layers of networks do.
        sums = iter([NeighbourSum(self.product) for _ in range(2)] * 2)
        return lambda *inputs: next(sums)(near, *inputs)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    widths=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    filter_order=st.integers(0, 2),
    highest=st.integers(0, 2),  # features of higher orders may enter no path
    parity=st.booleans(),
    edges=st.sampled_from([0, 1, 23]),
)
def test_losses_have_the_derivatives_that_e3nns_code_gives(
    widths, filter_order, highest, parity, edges
):
    product = channelwise(*irreps_of(widths, filter_order, parity), highest)
    network = Network(product, 6, edges)
    weights = torch.randn(6, dtype=torch.float64), torch.randn(edges, 3, dtype=torch.float64)

    vectors = network.vectors.clone().requires_grad_(True)
    energies = network.usual(vectors, network.edge_by_edge)
    (slopes,) = torch.autograd.grad(energies.sum(), vectors, create_graph=True)
    near = ChunkedEdges(6, network.centres, network.sources, sum_of(product).width)
    convolve = network.in_chunks(near)
    found = energies_and_slopes(
        lambda given: network.usual(given, convolve), network.vectors, network.parameters
    )
    for mine, other in zip(found, (energies, slopes), strict=True):
        torch.testing.assert_close(mine.detach(), other.detach())
    gradients = []
    for values in (found, (energies, slopes)):
        loss = sum((w * v).sum() for w, v in zip(weights, values, strict=True))
        gradients.append(torch.autograd.grad(loss, network.parameters, materialize_grads=True))
    for mine, other in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, other)


def test_results_do_not_depend_on_chunks(monkeypatch):
    product = channelwise(*irreps_of([3, 2], 2, True), 2)
    network = Network(product, 12, 80)
    found = []
    for fewest in (1, 40, 1000):
        monkeypatch.setattr(neighbour_sums, "_FEWEST_AT_ONCE", fewest)
        monkeypatch.setattr(neighbour_sums, "_AT_ONCE", 1)
        near = ChunkedEdges(12, network.centres, network.sources, 10)
        found.append((len(near.parts), network.usual(network.vectors, network.in_chunks(near))))
    assert found[0][0] > found[1][0] > found[2][0] == 1
    for _, energies in found[1:]:
        torch.testing.assert_close(energies, found[0][1])


@pytest.mark.parametrize("mode", ["uvw", "shared"])
def test_other_products_are_left_to_e3nn(mode):
    product = TensorProduct(
        "2x0e",
        "0e",
        "2x0e",
        [(0, 0, 0, "uvw" if mode == "uvw" else "uvu", True)],
        shared_weights=mode == "shared",
        internal_weights=False,
    )
    assert not NeighbourSum.can(product)
