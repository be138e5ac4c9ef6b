"""Weights of MACE's symmetric contractions: products of the atomic basis with itself.

For each irrep of the product and each order nu there is a tensor U of coupling coefficients,
``[(2 l + 1,) components, ..., components, paths]`` with nu axes of components, and for each path
one weight per element and channel, ``[elements, paths, channels]``, without normalisation. A
lower order of the basis drops components of U, and with them the paths that need them.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from irrepress.core.errors import UserError
from irrepress.core.model import NativeModule
from irrepress.families.generic.layout import ELEMENTS
from irrepress.families.mace.package import Contraction

# Coupling coefficients are of order 1; those of float32 are rounded.
_TOLERANCE = 1e-5


def contractions(network: NativeModule, layer: int) -> dict[str, Contraction]:
    """Return the contractions of a layer: irrep of the product -> module."""
    product = network.products[layer]
    irreps = [str(irrep) for _, irrep in product.linear.irreps_out]
    return dict(zip(irreps, product.symmetric_contractions.contractions, strict=True))


def weights_of(contraction: Contraction) -> list[torch.nn.Parameter]:
    """Return the weights by order, ``[elements, paths, channels]``; the first are of order 1."""
    return [*reversed(list(contraction.weights)), contraction.weights_max]


def couplings(contraction: Contraction, order: int) -> Tensor:
    """Return U of an order, ``[components of the product, components, ..., paths]``."""
    coupling = contraction.U_tensors(order)
    return coupling if coupling.ndim == order + 2 else coupling.unsqueeze(0)


def restricted(coupling: Tensor, components: int) -> Tensor:
    """Return U for a basis that has lost its highest orders."""
    for axis in range(1, coupling.ndim - 1):
        coupling = coupling.narrow(axis, 0, components)
    return coupling


def live_paths(coupling: Tensor, components: int) -> int:
    """Number of paths that mace gives a weight if the basis has so many components."""
    return max(1, int(_norms(restricted(coupling, components)).gt(_TOLERANCE).sum()))


@torch.no_grad()
def narrow_contractions(
    wide: NativeModule, narrow: NativeModule, keep: Mapping[str, Sequence[int]]
) -> set[str]:
    """Copy weights of kept channels, elements and paths, in place.

    Args:
        wide: the large network.
        narrow: the small one, with products of no higher order and no more components.
        keep: group -> channels that stay; groups that are absent stay whole.

    Returns:
        Names of the parameters that are set.

    Raises:
        UserError: the products are written in another basis, which has no equal here.
    """
    modules: set[NativeModule] = set()
    for t in range(len(narrow.products)):
        channels, elements = keep.get(f"basis.{t}"), keep.get(ELEMENTS)
        given = contractions(wide, t)
        for irrep, contraction in contractions(narrow, t).items():
            modules.add(contraction)
            old = weights_of(given[irrep])
            for index, weight in enumerate(weights_of(contraction)):
                value = old[index].double()
                if channels is not None:
                    value = value[:, :, list(channels)]
                if elements is not None and len(value) > 1:  # else all elements share weights
                    value = value[list(elements)]
                small = couplings(contraction, index + 1)
                large = restricted(couplings(given[irrep], index + 1), small.shape[1])
                change = _change_of_paths(large, small).to(value.device)
                weight.copy_(torch.einsum("nk,ekc->enc", change, value))
    return {
        f"{name}.{inner}"
        for name, module in narrow.named_modules()
        if module in modules
        for inner, _ in module.named_parameters()
    }


def free_weights(network: NativeModule) -> None:
    """Make weights trainable that mace froze although they do something, in place.

    Where some order has no path, mace counts the orders from the other end and freezes weights
    of another one.
    """
    for layer in range(len(network.products)):
        for contraction in contractions(network, layer).values():
            orders = len(contraction.weights) + 1
            for index, weight in enumerate(weights_of(contraction)):
                if not weight.requires_grad and bool(couplings(contraction, index + 1).any()):
                    freed = torch.nn.Parameter(weight.detach().clone())
                    if index == orders - 1:
                        contraction.weights_max = freed
                    else:
                        contraction.weights[orders - 2 - index] = freed


def _change_of_paths(large: Tensor, small: Tensor) -> Tensor:
    """Return the matrix ``[small paths, large paths]`` that turns weights of one into the other."""
    a, b = (each.double().to(small.device).flatten(0, -2) for each in (small, large))
    live = _norms(large).gt(_TOLERANCE).nonzero().flatten().to(a.device)
    change = a.new_zeros(a.shape[1], b.shape[1])
    if len(live) == 0:
        return change
    if len(live) == a.shape[1] and (a - b[:, live]).abs().max() < _TOLERANCE:
        # mace orders paths alike, so as a rule they are the same ones.
        change[torch.arange(len(live)), live] = 1
        return change
    gram = a.T @ a
    change = torch.linalg.pinv(gram) @ (a.T @ b)
    if (a @ change - b).abs().max() > _TOLERANCE:
        raise UserError(
            "the products of features are written in a basis that mace builds only with "
            "cuequivariance (use_reduced_cg); install the packages cuequivariance and "
            "cuequivariance-torch"
        )
    return change


def _norms(coupling: Tensor) -> Tensor:
    return coupling.flatten(0, -2).abs().amax(0)
