"""Irreps as strings: ``1e`` is one irrep, ``64x0e+32x1e`` the channels of several.

As in e3nn, an irrep of O(3) has an order l and a parity, even (e) or odd (o).
"""

import re
from collections.abc import Mapping

from irrepress.core.errors import UserError

_CHANNELS_OF_IRREP = re.compile(r"(\d+)x(\d+[eo])")


def order(irrep: str) -> int:
    """Return the order l of an irrep.

    Example:
        >>> order("2e")
        2
    """
    return int(irrep[:-1])


def dimension(irrep: str) -> int:
    """Return the number of components of an irrep, 2 l + 1.

    Example:
        >>> dimension("2e")
        5
    """
    return 2 * order(irrep) + 1


def has_natural_parity(irrep: str) -> bool:
    """Whether an irrep changes under inversion as spherical harmonics of its order do.

    Example:
        >>> has_natural_parity("1o"), has_natural_parity("1e")
        (True, False)
    """
    return irrep[-1] == "eo"[order(irrep) % 2]


def parse_irreps(text: str) -> dict[str, int]:
    """Parse a string as irrep -> channels.

    Example:
        >>> parse_irreps("64x0e + 32x1e")
        {'0e': 64, '1e': 32}

    Raises:
        UserError: if a term is not like ``64x0e`` or an irrep occurs twice.
    """
    result: dict[str, int] = {}
    for part in text.replace(" ", "").split("+"):
        match = _CHANNELS_OF_IRREP.fullmatch(part)
        if match is None:
            raise UserError(f"{part!r} in {text!r} is not like 64x0e")
        if match[2] in result:
            raise UserError(f"{match[2]} occurs twice in {text!r}")
        result[match[2]] = int(match[1])
    return result


def write_irreps(channels: Mapping[str, int]) -> str:
    """Format irrep -> channels as a string, omitting irreps without channels.

    Example:
        >>> write_irreps({"0e": 64, "1e": 32, "2e": 0})
        '64x0e+32x1e'
    """
    return "+".join(f"{count}x{irrep}" for irrep, count in channels.items() if count)
