"""Products of the atomic basis on the CPU, as polynomials with few coefficients.

A product of orders up to three of a channel's components x (`irrepress.families.mace.contraction`)
is a polynomial, and so are its derivatives:

    B = sum_k x_k (sum_ij c_kij x_i x_j + sum_i c_ki x_i + c_k),

with coefficients that are symmetric in all indices and differ between elements and channels. mace
multiplies U, which has many more paths than there are independent polynomials, by weights atom by
atom. Here coefficients are made once for each element, of a basis of those polynomials, and pairs
``x_i x_j`` are taken once (i <= j). Slopes dB/dx come from the same products of matrices as
values, and are kept for whatever is differentiated later.

As in `irrepress.families.e3nn.neighbour_sums` a product has two forms: for values, with derivatives
by the components; and, under forward-mode differentiation, for values and their tangents, with
derivatives by components and weights.
"""

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from typing import Any

import torch
import torch.autograd.forward_ad as forward_mode
from torch import Tensor

from irrepress.core.model import NativeModule
from irrepress.families.mace.contraction import couplings, weights_of

# Numbers that pairs and coefficients of the channels that go through together hold, for a cache.
_AT_ONCE = 400_000
_HIGHEST = 3


class ByElement:
    """Atoms in the order of their elements.

    Args:
        elements: index of each atom's element, ``[atoms]``.
    """

    def __init__(self, elements: Tensor):
        self.order = torch.argsort(elements, stable=True)
        self.rank = torch.argsort(self.order)
        present, counts = torch.unique_consecutive(elements[self.order], return_counts=True)
        self.present, self.counts = present, counts.tolist()

    def __iter__(self) -> Iterator[tuple[int, slice]]:
        """Yield each element with the places of its atoms in this order."""
        first = 0
        for element, count in zip(self.present.tolist(), self.counts, strict=True):
            yield element, slice(first, first + count)
            first += count


@dataclass(frozen=True)
class _Basis:
    """Independent polynomials of one order, for one irrep of the product.

    Attributes:
        coefficients: ``[polynomials, (2 l + 1) * components * monomials]``.
        change: what turns weights of mace's paths into those of polynomials, ``[paths,
            polynomials]``.
    """

    coefficients: Tensor
    change: Tensor


class SymmetricProduct:
    """Computes what mace's symmetric contractions make of the atomic basis.

    Args:
        contractions: the modules, one for each irrep of the product; see `can`.
    """

    def __init__(self, contractions: Sequence[NativeModule]):
        self.contractions = list(contractions)
        first = self.contractions[0]
        self.correlation = len(weights_of(first))
        self.dims = [len(couplings(each, 1)) for each in self.contractions]
        self.components = couplings(first, 1).shape[1]
        self.dtype = couplings(first, 1).dtype
        # For each irrep, by order.
        self._bases = [
            [_basis_of(couplings(each, order)) for order in range(1, self.correlation + 1)]
            for each in self.contractions
        ]

    @staticmethod
    def can(contractions: Sequence[NativeModule]) -> bool:
        """Say whether contractions are some that this class computes."""
        return all(len(weights_of(each)) <= _HIGHEST for each in contractions)

    @property
    def weights(self) -> list[Tensor]:
        """The weights by irrep and order, ``[elements, paths, channels]``."""
        return [weight for each in self.contractions for weight in weights_of(each)]

    def __call__(self, components: Tensor, atoms: ByElement, found: "Found") -> Tensor:
        """Return the products; under forward-mode differentiation, with tangents.

        Args:
            components: of the basis, ``[atoms, channels, components]``.
            atoms: the atoms by element; all as one element where elements share weights.
            found: what the run without tangents keeps for the one with them.

        Returns:
            ``[atoms, channels * sum (2 l + 1)]``.
        """
        components, tangents = forward_mode.unpack_dual(components)
        if tangents is None:
            weights = [weight.detach() for weight in self.weights]
            return _Values.apply(components, self, atoms, weights, found)
        return forward_mode.make_dual(
            *_Duals.apply(components, tangents, self, atoms, found, *self.weights)
        )

    def evaluate(
        self, turned: Tensor, atoms: ByElement, weights: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return values and their slopes.

        Args:
            turned: see `turn`.
            atoms: the atoms by element.
            weights: see `weights`.

        Returns:
            ``[channels, sum (2 l + 1), atoms]`` and ``[channels, sum (2 l + 1), components,
            atoms]``.
        """
        channels, _, many = turned.shape
        values = turned.new_empty(channels, sum(self.dims), many)
        slopes = turned.new_empty(channels, sum(self.dims), self.components, many)
        for element, places, some in self.chunks(atoms, channels):
            x = turned[some, :, places]
            made = self.coefficients(weights, element, some)
            linear = made[0].flatten(1).unsqueeze(2)
            total = slope = linear
            if self.correlation > 1:
                quadratic = torch.bmm(made[1].flatten(1, 2), x)
                total, slope = linear + quadratic, torch.add(linear, quadratic, alpha=2)
            if self.correlation > 2:
                cubic = torch.bmm(made[2].flatten(1, 2), _pairs(x))
                total, slope = total.add_(cubic), slope.add_(cubic, alpha=3)
            shape = (len(x), -1, self.components, total.shape[2])
            values[some, :, places] = (total.view(shape) * x.unsqueeze(1)).sum(2)
            slopes[some, :, :, places] = slope.view(shape)
        return values, slopes

    def differentiate(
        self,
        turned: Tensor,
        tangents: Tensor,
        gradients: tuple[Tensor, Tensor],
        atoms: ByElement,
        weights: Sequence[Tensor],
    ) -> tuple[Tensor, list[Tensor]]:
        """Return derivatives of values and their tangents by what `evaluate` does not give.

        Args:
            turned: see `turn`.
            tangents: of the same shape.
            gradients: by values and by tangents of values, ``[channels, sum (2 l + 1), atoms]``.
            atoms: the atoms by element.
            weights: see `weights`.

        Returns:
            Derivatives of tangents by components, ``[channels, components, atoms]``, and those of
            both by weights.
        """
        result = torch.empty_like(turned)
        by_weights = [torch.zeros_like(weight) for weight in weights]
        for element, places, some in self.chunks(atoms, len(turned)):
            x, moving = turned[some, :, places], tangents[some, :, places]
            of_values, of_tangents = (each[some, :, places] for each in gradients)
            made = self.coefficients(weights, element, some)
            # What multiplies coefficients of all orders in values, and, by order, in tangents.
            shape = (len(x), -1, x.shape[2])
            still = (of_values.unsqueeze(2) * x.unsqueeze(1)).view(shape)
            moved = (of_tangents.unsqueeze(2) * moving.unsqueeze(1)).view(shape)
            by_made = [(still + moved).sum(2)]
            if self.correlation > 1:
                quadratic = torch.bmm(made[1].flatten(1, 2), moving).mul_(2)
                factors = torch.add(still, moved, alpha=2)
                by_made.append(torch.bmm(factors, x.transpose(1, 2)))
                if self.correlation > 2:
                    changes = _changes_of_pairs(x, moving)
                    quadratic.add_(torch.bmm(made[2].flatten(1, 2), changes), alpha=3)
                    factors = torch.add(still, moved, alpha=3)
                    by_made.append(torch.bmm(factors, _pairs(x).transpose(1, 2)))
                curved = quadratic.view(len(x), -1, self.components, x.shape[2])
                result[some, :, places] = (curved * of_tangents.unsqueeze(2)).sum(1)
            else:
                result[some, :, places] = 0
            self._collect(by_made, by_weights, element, some)
        return result, by_weights

    def coefficients(
        self, weights: Sequence[Tensor], element: int, channels: slice
    ) -> list[Tensor]:
        """Return coefficients by order, ``[channels, sum (2 l + 1), components, monomials]``."""
        made = []
        for order in range(self.correlation):
            parts = []
            for i, dim in enumerate(self.dims):
                basis = self._bases[i][order]
                weight = weights[i * self.correlation + order][element, :, channels]
                found = (weight.t() @ basis.change) @ basis.coefficients
                parts.append(found.view(len(found), dim, self.components, -1))
            made.append(torch.cat(parts, dim=1) if len(parts) > 1 else parts[0])
        return made

    def _collect(
        self, by_made: Sequence[Tensor], results: list[Tensor], element: int, channels: slice
    ) -> None:
        """Set derivatives by weights from those by coefficients."""
        for order, gradient in enumerate(by_made):
            rows = gradient.flatten(1).split(
                [basis[order].coefficients.shape[1] for basis in self._bases], dim=1
            )
            for i, each in enumerate(rows):
                basis = self._bases[i][order]
                found = (each @ basis.coefficients.t()) @ basis.change.t()
                results[i * self.correlation + order][element, :, channels] = found.t()

    def chunks(self, atoms: ByElement, channels: int) -> Iterator[tuple[int, slice, slice]]:
        """Yield elements, places of their atoms and channels that go through together."""
        monomials = [1, self.components, self.components * (self.components + 1) // 2]
        widest = monomials[self.correlation - 1]
        for element, places in atoms:
            rows = places.stop - places.start + sum(self.dims) * self.components
            most = max(1, _AT_ONCE // (widest * rows))
            for first in range(0, channels, most):
                yield element, places, slice(first, min(first + most, channels))

    def turn(self, components: Tensor, atoms: ByElement) -> Tensor:
        """Return components as products read them, ``[channels, components, atoms]``."""
        return components.index_select(0, atoms.order).permute(1, 2, 0).contiguous()

    def turn_back(self, turned: Tensor, atoms: ByElement) -> Tensor:
        """Return what `turn` was given."""
        return turned.permute(2, 0, 1).contiguous().index_select(0, atoms.rank)

    def leave(self, values: Tensor, atoms: ByElement) -> Tensor:
        """Return values as mace orders them, ``[atoms, channels * sum (2 l + 1)]``."""
        parts = [each.permute(2, 0, 1).flatten(1) for each in values.split(self.dims, dim=1)]
        return torch.cat(parts, dim=1).index_select(0, atoms.rank)

    def enter(self, given: Tensor, atoms: ByElement) -> Tensor:
        """Return what `leave` makes them of."""
        channels = given.shape[1] // sum(self.dims)
        parts = given.index_select(0, atoms.order).split([channels * d for d in self.dims], dim=1)
        turned = [
            each.unflatten(1, (channels, dim)).permute(1, 2, 0)
            for each, dim in zip(parts, self.dims, strict=True)
        ]
        return torch.cat(turned, dim=1).contiguous()


# What has been found of values, by product: the components as it reads them, values and slopes.
Found = dict[SymmetricProduct, tuple[Tensor, Tensor, Tensor]]

# Made once per module.
_MADE: "weakref.WeakKeyDictionary[NativeModule, SymmetricProduct]" = weakref.WeakKeyDictionary()


class _Values(torch.autograd.Function):
    """Products, with derivatives by the components."""

    @staticmethod
    def forward(
        ctx: Any,
        components: Tensor,
        product: SymmetricProduct,
        atoms: ByElement,
        weights: Sequence[Tensor],
        found: Found,
    ) -> Tensor:
        turned = product.turn(components, atoms)
        values, slopes = product.evaluate(turned, atoms, weights)
        result = product.leave(values, atoms)
        ctx.shared = product, atoms, slopes
        found[product] = turned, result, slopes
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        product, atoms, slopes = ctx.shared
        turned = (slopes * product.enter(gradient, atoms).unsqueeze(2)).sum(1)
        return product.turn_back(turned, atoms), None, None, None, None


class _Duals(torch.autograd.Function):
    """Products and their tangents, with derivatives by all that they are made of."""

    @staticmethod
    def forward(
        ctx: Any,
        components: Tensor,
        tangents: Tensor,
        product: SymmetricProduct,
        atoms: ByElement,
        found: Found,
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        turned, values, slopes = found.pop(product)
        moving = product.turn(tangents, atoms)
        ctx.save_for_backward(*weights)
        ctx.shared = product, atoms, turned, moving, slopes
        changes = (slopes * moving.unsqueeze(1)).sum(2)
        return values, product.leave(changes, atoms)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, of_tangents: Tensor) -> tuple[Tensor | None, ...]:
        product, atoms, turned, moving, slopes = ctx.shared
        gradients = product.enter(gradient, atoms), product.enter(of_tangents, atoms)
        found, by_weights = product.differentiate(
            turned, moving, gradients, atoms, ctx.saved_tensors
        )
        found.add_((slopes * gradients[0].unsqueeze(2)).sum(1))
        by_tangents = (slopes * gradients[1].unsqueeze(2)).sum(1)
        turned_back = (product.turn_back(each, atoms) for each in (found, by_tangents))
        return (*turned_back, None, None, None, *by_weights)


def product_of(module: NativeModule) -> SymmetricProduct | None:
    """Return what computes a module's products; None: see `SymmetricProduct.can`."""
    if not SymmetricProduct.can(module.contractions):
        return None
    dtype = couplings(module.contractions[0], 1).dtype
    if module not in _MADE or _MADE[module].dtype != dtype:
        _MADE[module] = SymmetricProduct(module.contractions)
    return _MADE[module]


@cache
def _places_of_pairs(components: int) -> tuple[Tensor, Tensor]:
    first, second = torch.triu_indices(components, components)
    return first.contiguous(), second.contiguous()


def _pairs(x: Tensor) -> Tensor:
    """Return ``x_i x_j`` for i <= j, ``[channels, pairs, atoms]``."""
    i, j = _places_of_pairs(x.shape[1])
    return x.index_select(1, i).mul_(x.index_select(1, j))


def _changes_of_pairs(x: Tensor, moving: Tensor) -> Tensor:
    """Return the tangents of `_pairs`."""
    i, j = _places_of_pairs(x.shape[1])
    result = x.index_select(1, i).mul_(moving.index_select(1, j))
    return result.addcmul_(moving.index_select(1, i), x.index_select(1, j))


@torch.no_grad()
def _basis_of(coupling: Tensor) -> _Basis:
    """Return independent polynomials for couplings, ``[2 l + 1, components, ..., paths]``."""
    order, components = coupling.ndim - 2, coupling.shape[1]
    exact = coupling.detach().double()
    axes = range(1, order + 1)
    every = [exact.permute(0, *each, order + 1) for each in permutations(axes)]
    symmetric = torch.stack(every).mean(0)
    if order == _HIGHEST:
        i, j = _places_of_pairs(components)
        twice = torch.where(i == j, 1.0, 2.0).double()
        symmetric = symmetric[:, :, i, j] * twice[:, None]
    rows = symmetric.flatten(0, -2)
    # Couplings of float32 are rounded; those that differ by rounding alone are the same.
    u, sizes, paths = torch.linalg.svd(rows, full_matrices=False)
    least = 1e3 * torch.finfo(coupling.dtype).eps * float(sizes.max())
    some = sizes > least
    change = paths[some].t() * sizes[some]
    return _Basis(u[:, some].t().to(coupling.dtype).contiguous(), change.to(coupling.dtype))
