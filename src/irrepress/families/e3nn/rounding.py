"""Rounding of plans that the families that are built on e3nn have in common."""

from collections.abc import Sequence

from irrepress.core.irreps import order
from irrepress.families.e3nn.groups import filter_group
from irrepress.families.generic.rounding import Keep, fill


def fill_filter(irreps: Sequence[str], keep: Keep, least: int = 0) -> list[str]:
    """Keep the orders of a filter below the highest one that is kept, in place.

    Args:
        irreps: of the filter, one of each order.
        keep: what is kept.
        least: order up to which all are kept in any case.

    Returns:
        One message for each change.
    """
    highest = max(least, *(order(irrep) for irrep in irreps if keep[filter_group(irrep)]), 0)
    names = [filter_group(irrep) for irrep in irreps if order(irrep) <= highest]
    return fill(keep, names, f"the filter holds all orders up to {highest}")
