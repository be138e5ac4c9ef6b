"""Linear maps of features that differ between elements, without products with attributes.

mace writes them as tensor products of features with a vector that is one at an atom's element and
zero at all others, whose cost grows with the number of elements that a model knows. Here atoms of
each element that occurs are multiplied by their map alone.
"""

import torch
import torch.autograd.forward_ad as forward_mode
from e3nn.o3 import FullyConnectedTensorProduct, wigner_3j
from torch import Tensor

from irrepress.families.mace.fast_contraction import ByElement


class ElementMap:
    """Computes a tensor product of features with elements.

    Args:
        product: its second input has one scalar for each element.
        atoms: the atoms by element.
    """

    def __init__(self, product: FullyConnectedTensorProduct, atoms: ByElement):
        self.product, self.atoms = product, atoms

    def __call__(self, features: Tensor, _: Tensor) -> Tensor:
        """Return the mapped features; under forward-mode differentiation, with tangents.

        Args:
            features: ``[atoms, irreps_in1.dim]``.
        """
        values, tangents = forward_mode.unpack_dual(features)
        if tangents is None:
            return self._map([values])[0]
        return forward_mode.make_dual(*self._map([values, tangents]))

    def _map(self, given: list[Tensor]) -> list[Tensor]:
        product, atoms = self.product, self.atoms
        source, target = product.irreps_in1, product.irreps_out
        sorted_ = torch.stack([each.index_select(0, atoms.order) for each in given], dim=1)
        results: list[Tensor | None] = [None] * len(target)
        first = 0
        for path in product.instructions:
            channels, irrep = source[path.i_in1]
            shape = path.path_shape
            size = shape[0] * shape[1] * shape[2]
            weight = product.weight[first : first + size].view(shape)
            first += size
            symbol = wigner_3j(irrep.l, 0, irrep.l, dtype=torch.float64)
            factor = path.path_weight * float(symbol[0, 0, 0])
            maps = weight.index_select(1, atoms.present).transpose(0, 1).mul(factor).unbind(0)
            rows = sorted_[:, :, source.slices()[path.i_in1]]
            rows = rows.unflatten(2, (channels, irrep.dim)).transpose(2, 3)
            found = torch.cat(
                [each @ m for each, m in zip(rows.split(atoms.counts), maps, strict=True)]
            )
            found = found.transpose(2, 3).flatten(2)
            before = results[path.i_out]
            results[path.i_out] = found if before is None else before + found
        parts = [
            sorted_.new_zeros(*sorted_.shape[:2], part.dim) if each is None else each
            for each, part in zip(results, target, strict=True)
        ]
        return list(torch.cat(parts, dim=2).index_select(0, atoms.rank).unbind(1))
