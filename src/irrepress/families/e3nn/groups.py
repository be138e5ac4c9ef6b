"""The groups that the families built on e3nn have in common."""

from collections.abc import Iterable

from irrepress.core.groups import Group
from irrepress.core.irreps import order


def feature_group(layer: int, irrep: str) -> str:
    """Return the name of the group of features that enter a layer."""
    return f"features.{layer}.{irrep}"


def message_group(layer: int, irrep: str) -> str:
    """Return the name of the group of features that a layer's convolution sends."""
    return f"messages.{layer}.{irrep}"


def filter_group(irrep: str) -> str:
    """Return the name of the group of one order of the spherical harmonics."""
    return f"filter.{irrep}"


def filter_groups(irreps: Iterable[str], lowest: int = 0) -> list[Group]:
    """Return the groups of the orders of the spherical harmonics.

    Args:
        irreps: their irreps, one for each order.
        lowest: highest order that can not be removed.
    """
    return [
        Group(
            name=filter_group(irrep),
            layer=0,
            irrep=irrep,
            channels=1,
            width=filter_group(irrep),
            axis="order",
            floor=int(order(irrep) <= lowest),
        )
        for irrep in irreps
    ]
