"""Numbers and lists as readers expect them in a sentence."""

import math
import re
from collections.abc import Sequence

from markupsafe import Markup

NO_VALUE = "–"
_JOINT = re.compile(r"(?<=[+_/])(?=\w)|(?<=-)(?=[A-Za-z])")
_WORD = re.compile(r"[A-Za-z]{2}|\dx\d")
_UNIT = re.compile(r"(?<=[0-9]) (?=%|m?eV|GPa|MB|ms\\b|s\\b|min\\b|h\\b)")


def number(value: float | None, digits: int = 3) -> str:
    """Format with ``digits`` significant digits, thousands separated, tiny ones as powers.

    >>> number(1171327.0), number(0.04567), number(3.2e-13), number(None)
    ('1,171,327', '0.0457', '3.2e-13', '–')
    """
    if value is None or math.isnan(value):
        return NO_VALUE
    if math.isinf(value):
        return "∞"
    if value == 0:
        return "0"
    size = abs(value)
    if size < 1e-3:
        mantissa, exponent = f"{value:.{max(digits - 2, 0)}e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    decimals = max(digits - 1 - math.floor(math.log10(size)), 0)
    return f"{value:,.{decimals}f}"


def factor(value: float) -> str:
    """Format a factor: ``3.2×``."""
    return f"{number(value, 2 if value < 10 else 3)}×"


def seconds(value: float) -> str:
    """Format a duration by its size: ``12.4 ms``, ``3.1 s``, ``12 min``, ``5.2 h``."""
    if value < 1:
        return f"{number(value * 1e3)} ms"
    if value < 120:
        return f"{number(value, 2)} s"
    if value < 7200:
        return f"{number(value / 60, 2)} min"
    return f"{number(value / 3600, 2)} h"


def listing(items: Sequence[str]) -> str:
    """Join as a sentence does: ``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def plural(count: int, noun: str) -> str:
    """Count something: ``1 plan``, ``12 plans``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def comparison(reduction: float) -> str:
    """Put a reduction in per cent into words: ``34.4 % lower``, ``2.0 % higher``."""
    return f"{abs(reduction):.1f} % {'higher' if reduction < 0 else 'lower'}"


def breakable(text: str) -> Markup:
    """Let long words break after ``+``, ``-``, ``_`` and ``/``, which copies of them do not show.

    Names of plans and irreps are as wide as a column otherwise; numbers stay whole.

    >>> print(breakable("32x0e+16x1e"), breakable("2.0e-13"))
    32x0e+<wbr>16x1e 2.0e-13
    """
    return Markup("<wbr>").join(_JOINT.split(text) if _WORD.search(text) else [text])


def keep_units(text: str) -> str:
    """Keep numbers and their units on one line by no-break spaces and word joiners.

    >>> keep_units("34.4 % of 2 eV") == "34.4\\u00a0% of 2\\u00a0eV"
    True
    """
    return _UNIT.sub("\u00a0", text).replace("meV/", "meV/\u2060")
