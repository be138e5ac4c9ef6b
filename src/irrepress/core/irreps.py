"""Irreps as texts such as ``64x0e+32x1e``."""

import re

from irrepress.core.errors import UserError

_PART = re.compile(r"(\d+)x(\d+[eo])")


def parse_irreps(text: str) -> dict[str, int]:
    """Read a text as irrep -> channels.

    Example:
        >>> parse_irreps("64x0e + 32x1e")
        {'0e': 64, '1e': 32}

    Raises:
        UserError: a part is not like ``64x0e``, or an irrep stands twice.
    """
    result: dict[str, int] = {}
    for part in text.replace(" ", "").split("+"):
        match = _PART.fullmatch(part)
        if match is None:
            raise UserError(f"{part!r} in {text!r} is not like 64x0e")
        if match[2] in result:
            raise UserError(f"{match[2]} stands twice in {text!r}")
        result[match[2]] = int(match[1])
    return result
