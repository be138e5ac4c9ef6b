"""Which frames are meant, and what says that frames are of different levels of theory."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from irrepress.structures.formats.labels import Frame

# Keys whose values say how labels were computed; MACE's is head.
LEVELS = ("head", "functional", "xc", "xc_functional", "level_of_theory", "theory")


class Selection:
    """Frames that have given values under given keys.

    Args:
        wanted: key -> value, or list of values.
    """

    def __init__(self, wanted: Mapping[str, Any]):
        self._wanted = {
            key: {_text(value) for value in (values if isinstance(values, list) else [values])}
            for key, values in wanted.items()
        }

    def refusal(self, frame: Frame) -> str | None:
        """Say why a frame is not meant; None if it is.

        Isolated atoms stay whatever their ``config_type``, which marks them, and without keys
        that only structures have.
        """
        for key, values in self._wanted.items():
            value = frame.fields.get(key)
            if frame.is_isolated_atom and (value is None or key == "config_type"):
                continue
            if value is None:
                return f"it has no {key}"
            if _text(value) not in values:
                return f"its {key} is {_text(value)}"
        return None

    def level(self, frame: Frame) -> tuple[str, str] | None:
        """Return key and value of what says how the labels were computed, if nobody chose it."""
        for key in LEVELS:
            if key in frame.fields and key not in self._wanted:
                value = frame.fields[key]
                return None if value is None else (key, _text(value))
        return None


def _text(value: Any) -> str:
    """Return a value as text, so that 1, 1.0 and "1" are the same."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)
