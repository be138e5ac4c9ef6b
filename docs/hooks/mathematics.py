"""Formulas as MathML, which browsers show without a script."""

import html
import re
from typing import Any

from latex2mathml.converter import convert

_INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
_DISPLAY = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)


def on_page_content(content: str, **_: Any) -> str:
    """Replace the formulas of a page."""
    content = _INLINE.sub(lambda found: _mathml(found[1], "inline"), content)
    return _DISPLAY.sub(
        lambda found: f'<div class="formula">{_mathml(found[1], "block")}</div>', content
    )


def _mathml(escaped: str, display: str) -> str:
    return convert(html.unescape(escaped), display=display)
