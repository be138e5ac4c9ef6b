"""Channel-wise tensor products on the CPU, faster than e3nn's own code, with the same results.

e3nn writes a message as one product per path and cuts features, weights and results into slices,
each of which costs a tensor of zeros of the full size in every backward pass; with forces as
targets that is two passes deep. Here the spherical harmonics are contracted with the 3j symbols
of all paths first, which takes few operations because it knows no channels; then each path is one
product of small matrices; and what is cut and joined is cut and joined in the backward pass, too.

Parameters, buffers and files know nothing of it: only the ``forward`` of e3nn's module is
replaced, and only while a context lasts.
"""

import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from e3nn.o3 import TensorProduct, wigner_3j
from torch import Tensor


class _Cut(torch.autograd.Function):
    """Cut a matrix into columns; its derivative joins."""

    @staticmethod
    def forward(ctx: Any, joined: Tensor, sizes: Sequence[int]) -> tuple[Tensor, ...]:
        return tuple(part.contiguous() for part in torch.split(joined, list(sizes), dim=1))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _Join.apply(*gradients), None


class _Join(torch.autograd.Function):
    """Join the columns of matrices; its derivative cuts."""

    @staticmethod
    def forward(ctx: Any, *parts: Tensor) -> Tensor:
        ctx.sizes = [part.shape[1] for part in parts]
        return torch.cat(parts, dim=1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        return _Cut.apply(gradient, ctx.sizes)


@cache
def _symbol(first: int, second: int, third: int) -> Tensor:
    return wigner_3j(first, second, third, dtype=torch.float64)


class ChannelwiseProduct:
    """Computes what a tensor product of e3nn computes whose paths are all ``uvu``.

    Args:
        product: with a weight per path, channel and edge, as convolutions have it.
    """

    def __init__(self, product: TensorProduct):
        first, second, target = product.irreps_in1, product.irreps_in2, product.irreps_out
        paths = product.instructions
        columns = second.slices()
        self._feature_sizes = [irrep.dim for irrep in first]
        self._weight_sizes = [first[path.i_in1].mul for path in paths]
        self._order = sorted(range(len(paths)), key=lambda k: paths[k].i_out)
        # Of each irrep of the features: channels, dimension, its paths and their dimensions.
        self._terms: list[tuple[int, int, list[int], list[int]]] = []
        symbols = []
        for i, (channels, irrep) in enumerate(first):
            mine = [k for k, path in enumerate(paths) if path.i_in1 == i]
            dims = []
            for k in mine:
                path = paths[k]
                l2, out = second[path.i_in2].ir.l, target[path.i_out].ir
                symbol = _symbol(irrep.l, l2, out.l) * path.path_weight
                block = torch.zeros(second.dim, irrep.dim * out.dim, dtype=torch.float64)
                block[columns[path.i_in2]] = symbol.transpose(0, 1).flatten(1)
                symbols.append(block)
                dims.append(out.dim)
            self._terms.append((channels, irrep.dim, mine, dims))
        self._symbols = torch.cat(symbols, dim=1)
        self._symbol_sizes = [block.shape[1] for block in symbols]
        self._cast: dict[torch.dtype, Tensor] = {}

    @staticmethod
    def can(product: TensorProduct) -> bool:
        """Say whether a product is one that this class computes."""
        paths = product.instructions
        second = product.irreps_in2
        return (
            len({path.i_out for path in paths}) == len(paths) == len(product.irreps_out)
            and all(path.connection_mode == "uvu" and path.has_weight for path in paths)
            and all(irrep.mul == 1 for irrep in second)
            and not (product.shared_weights or product.internal_weights)
        )

    def __call__(self, features: Tensor, filters: Tensor, weights: Tensor) -> Tensor:
        """Return the messages of edges.

        Args:
            features: of the neighbour, ``[edges, irreps_in1.dim]``.
            filters: spherical harmonics, ``[edges, irreps_in2.dim]``.
            weights: ``[edges, weight_numel]``.

        Returns:
            ``[edges, irreps_out.dim]``.
        """
        edges = len(features)
        if filters.dtype not in self._cast:
            self._cast[filters.dtype] = self._symbols.to(filters.dtype)
        matrices = _Cut.apply(filters @ self._cast[filters.dtype], self._symbol_sizes)
        weight_of = _Cut.apply(weights, self._weight_sizes)
        messages: dict[int, Tensor] = {}
        place = 0
        parts = _Cut.apply(features, self._feature_sizes)
        for part, (channels, dim, paths, dims) in zip(parts, self._terms, strict=True):
            rows = part.view(edges, channels, dim)
            for k, out in zip(paths, dims, strict=True):
                matrix = matrices[place].view(edges, dim, out)
                place += 1
                weighted = rows * weight_of[k].unsqueeze(2)
                message = weighted * matrix if dim == 1 else torch.bmm(weighted, matrix)
                messages[k] = message.reshape(edges, channels * out)
        return _Join.apply(*(messages[k] for k in self._order))


# Made once per module: the 3j symbols take longer than a small product.
_MADE: "weakref.WeakKeyDictionary[TensorProduct, ChannelwiseProduct]" = weakref.WeakKeyDictionary()


@contextmanager
def fast_products(modules: Iterable[torch.nn.Module]) -> Iterator[None]:
    """Compute the products among modules by `ChannelwiseProduct` while the context lasts.

    Products of other kinds are left as they are, and so are all on a GPU, where e3nn's generated
    code has the fewer kernels.
    """
    replaced = []
    try:
        for module in modules:
            if not isinstance(module, TensorProduct) or "forward" in vars(module):
                continue
            if any(buffer.is_cuda for buffer in module.buffers()):
                continue
            if module not in _MADE:
                if not ChannelwiseProduct.can(module):
                    continue
                _MADE[module] = ChannelwiseProduct(module)
            module.forward = _MADE[module]
            replaced.append(module)
        yield
    finally:
        for module in replaced:
            del module.forward
