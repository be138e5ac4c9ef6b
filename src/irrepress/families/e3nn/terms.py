"""Paths of a channel-wise tensor product, grouped as products of matrices take them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from e3nn.o3 import Irreps, TensorProduct, wigner_3j
from torch import Tensor


@dataclass(frozen=True)
class Coupling:
    """What a term's 3j symbols depend on: features, messages and harmonics.

    Attributes:
        inner: order l of the features.
        outer: order l of the messages.
        filters: for each path, order l of the spherical harmonics.
    """

    inner: int
    outer: int
    filters: tuple[int, ...]

    def symbols(self, harmonics: int) -> Tensor:
        """Return the 3j symbols, ``[paths, (2 l_out + 1) * (2 l_in + 1), harmonics]``, float64.

        Args:
            harmonics: number of spherical harmonics, those of order 0 first.
        """
        components = (2 * self.outer + 1) * (2 * self.inner + 1)
        result = torch.zeros(len(self.filters), components, harmonics, dtype=torch.float64)
        for k, order in enumerate(self.filters):
            symbol = wigner_3j(self.inner, order, self.outer, dtype=torch.float64)
            result[k, :, order**2 : (order + 1) ** 2] = symbol.permute(2, 0, 1).flatten(0, 1)
        return result


@dataclass(frozen=True)
class Term:
    """All paths between an irrep of the features and one of the messages.

    Attributes:
        coupling: orders of the features, the messages and the harmonics.
        paths: their places among the product's instructions.
    """

    coupling: Coupling
    paths: tuple[int, ...]


@dataclass(frozen=True)
class Slot:
    """An irrep of the features.

    Attributes:
        order: l.
        channels: number of channels.
        start: column of its first component.
        terms: the products that it enters.
    """

    order: int
    channels: int
    start: int
    terms: tuple[Term, ...]

    @cached_property
    def paths(self) -> tuple[int, ...]:
        """Places of all its paths among the product's instructions, term by term."""
        return tuple(k for term in self.terms for k in term.paths)


def read_slots(product: TensorProduct) -> Sequence[Slot]:
    """Return the irreps of a product's features, with their paths.

    Args:
        product: one whose paths are all ``uvu``, with one channel of every harmonic.
    """
    second, target = Irreps(product.irreps_in2), Irreps(product.irreps_out)
    slots = []
    for place, (channels, irrep) in enumerate(product.irreps_in1):
        found: dict[tuple[int, int], list[int]] = {}
        for k, path in enumerate(product.instructions):
            if path.i_in1 == place:
                out = target[path.i_out].ir
                found.setdefault((out.l, out.p), []).append(k)
        terms = []
        for (outer, _), paths in sorted(found.items()):
            filters = {k: second[product.instructions[k].i_in2].ir.l for k in paths}
            paths.sort(key=filters.__getitem__)
            coupling = Coupling(irrep.l, outer, tuple(filters[k] for k in paths))
            terms.append(Term(coupling, tuple(paths)))
        start = product.irreps_in1.slices()[place].start
        slots.append(Slot(irrep.l, channels, start, tuple(terms)))
    return slots
