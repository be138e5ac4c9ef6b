"""The last convolution along edges as equivariant linear maps at atoms.

A convolution maps features in the frame of an edge, for each component m by a matrix of its own;
then messages are rotated back and summed at atoms. For m > 0 the matrix is complex: with the
parts u and v of its weight, features x at +m and y at -m become ``u x - v y`` and ``v x + u y``.
All of that is linear in the weights. What they multiply are sums over edges: with the columns p
and q of the rotation back that belong to +m and -m of the order l that a message has, u
multiplies the sum of ``p x + q y`` and v that of ``q x - p y``. These are features of order l at
atoms, in as many channels as the convolution has inputs, and turn with them.
"""

import torch
from torch import Tensor

from irrepress.core.model import NativeModule
from irrepress.families.escn.architecture import Architecture


class MessageMap:
    """A convolution as maps at atoms, for each order l from all inputs along edges.

    Args:
        architecture: sizes of the network.
    """

    def __init__(self, architecture: Architecture):
        self._a = architecture
        self._places: dict[tuple[int, int, int], int] = {}
        for place, (degree, m) in enumerate(architecture.components):
            sign = -1 if (degree, m, 1) in self._places else 1
            self._places[degree, m, sign] = place

    def weights(self, convolution: NativeModule) -> dict[str, list[Tensor]]:
        """Return irrep -> views of the weights, ``[channels, inputs]``, in the order of `sums`."""
        channels = self._a.channels
        found: dict[str, list[Tensor]] = {}
        for degree in range(self._a.lmax + 1):
            rows = slice(degree * channels, (degree + 1) * channels)
            views = [convolution.fc_m0.weight[rows], convolution.fc_m0.bias[rows, None]]
            for m in range(1, min(degree, self._a.mmax) + 1):
                rows = slice((degree - m) * channels, (degree - m + 1) * channels)
                parts = convolution.so2_m_conv[m - 1].fc.weight.chunk(2)
                views += [part[rows] for part in parts]
            found[f"{degree}e"] = views
        return found

    def sums(
        self, features: Tensor, rotation: Tensor, target: Tensor, atoms: int
    ) -> dict[str, Tensor]:
        """Sum what the weights multiply over edges.

        Args:
            features: in the frames of edges, ``[edges, components, hidden]``.
            rotation: back to atoms, times the envelope, ``[edges, (lmax + 1)^2, components]``.
            target: atom of each edge, ``[edges]``.
            atoms: number of atoms.

        Returns:
            Irrep -> ``[atoms, inputs, 2 l + 1]``.
        """
        found = {}
        for degree in range(self._a.lmax + 1):
            own = rotation[:, degree**2 : (degree + 1) ** 2]
            zero = own[:, :, self._places[degree, 0, 1]]
            parts = [_product(self._inputs(features, 0, 1), zero), zero[:, None]]
            for m in range(1, min(degree, self._a.mmax) + 1):
                x, y = (self._inputs(features, m, sign) for sign in (1, -1))
                p, q = (own[:, :, self._places[degree, m, sign]] for sign in (1, -1))
                parts += [_product(x, p) + _product(y, q), _product(x, q) - _product(y, p)]
            edges = torch.cat(parts, dim=1)
            found[f"{degree}e"] = edges.new_zeros(atoms, *edges.shape[1:]).index_add(
                0, target, edges
            )
        return found

    def _inputs(self, features: Tensor, m: int, sign: int) -> Tensor:
        """Return features of +m or -m of all orders, ``[edges, orders times hidden]``."""
        orders = range(m, self._a.lmax + 1)
        return features[:, [self._places[degree, m, sign] for degree in orders]].flatten(1)


def _product(inputs: Tensor, column: Tensor) -> Tensor:
    return inputs[:, :, None] * column[:, None]
