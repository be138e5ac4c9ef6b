"""Tensor products as convolutions have them."""

import torch
from e3nn.o3 import Irreps, TensorProduct

from irrepress.families.generic.building import building


def irreps_of(widths: list[int], filter_order: int, parity: bool) -> tuple[str, str]:
    """Irreps of features, one width for each order, and of a filter up to an order."""

    def irrep(order: int) -> str:
        return f"{order}{'o' if parity and order % 2 else 'e'}"

    first = "+".join(f"{mul}x{irrep(order)}" for order, mul in enumerate(widths))
    return first, "+".join(f"1x{irrep(order)}" for order in range(filter_order + 1))


def channelwise(first: str, second: str, highest: int) -> TensorProduct:
    """A product as convolutions have it: all paths up to an order, outputs sorted."""
    first, second = Irreps(first), Irreps(second)
    paths = [
        (i, j, mul, out)
        for i, (mul, a) in enumerate(first)
        for j, (_, b) in enumerate(second)
        for out in a * b
        if out.l <= highest
    ]
    target, places, _ = Irreps([(mul, out) for _, _, mul, out in paths]).sort()
    instructions = [(i, j, places[k], "uvu", True) for k, (i, j, *_) in enumerate(paths)]
    with building(torch.float64):  # which e3nn's 3j symbols are rounded to
        return TensorProduct(
            first, second, target, instructions, shared_weights=False, internal_weights=False
        )
