"""Docstrings as the documentation reads them."""

from typing import Any

import griffe


class RunExamples(griffe.Extension):
    """Shows what stands under ``Example:`` as code; it would be an admonition otherwise."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename the section."""
        if obj.docstring is not None:
            obj.docstring.value = obj.docstring.value.replace("Example:\n", "Examples:\n")
