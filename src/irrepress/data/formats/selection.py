"""Selection of frames, and detection of levels of theory."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from irrepress.data.formats.frame import Frame

# Keys whose values are levels of theory, in any case; MACE uses head.
_LEVEL = re.compile(
    r"((mace|data)_)?heads?|(dft_)?functional|xc|xc_functional|(level_of_)?theory|lot|task_name",
    re.I,
)
# Values that are levels of theory under any key, such as method=PBE; without signs, in lower case.
_METHODS = frozenset(
    "lda pw91 pbe pbeu pbesol pbe0 revpbe rpbe pbed3 pbed3bj pbetsd scan r2scan r2scand3 "
    "r2scanrvv10 scanrvv10 hse hse06 blyp b3lyp bp86 tpss m062x wb97x wb97xd wb97xd3 wb97xd4 "
    "wb97mv wb97md3 wb97md3bj mp2 ccsd ccsdt hf xtb gfn2xtb gfn2 dftb "
    "optb88vdw vdwdf2 beefvdw".split()
)


class Selection:
    """Selects frames with given values under given keys.

    Args:
        wanted: key -> value or list of values.

    Example:
        >>> frame = Frame.from_atoms(structures[0].to_atoms(), "silicon.xyz: frame 0")
        >>> Selection({"config_type": "bulk"}).refusal(frame)
        'it has no config_type'
    """

    def __init__(self, wanted: Mapping[str, Any]):
        self._wanted = {
            key: {_text(value) for value in (values if isinstance(values, list) else [values])}
            for key, values in wanted.items()
        }

    def refusal(self, frame: Frame) -> str | None:
        """Return the reason why a frame is not selected; None if it is.

        Isolated atoms are kept for any ``config_type``, which marks them, and if they lack a key.
        """
        for key, values in self._wanted.items():
            value = _field(frame, key)
            if frame.is_isolated_atom and (value is None or key == "config_type"):
                continue
            if value is None:
                return f"it has no {key}"
            if _text(value) not in values:
                return f"its {key} is {_text(value)}"
        return None

    def level(self, frame: Frame) -> tuple[str, str] | None:
        """Return key and value of the level of theory, unless it is selected."""
        chosen = {key.lower() for key in self._wanted}
        for key, value in frame.fields.items():
            if key.lower() in chosen or value is None:
                continue
            if _LEVEL.fullmatch(key) or (isinstance(value, str) and _is_method(value)):
                return key, _text(value)
        return None


def _field(frame: Frame, key: str) -> Any:
    """Return the value of a key, or of the only key that differs by case."""
    if key in frame.fields:
        return frame.fields[key]
    close = [name for name in frame.fields if name.lower() == key.lower()]
    return frame.fields[close[0]] if len(close) == 1 else None


@lru_cache(maxsize=1024)
def _is_method(text: str) -> bool:
    return re.sub(r"[^a-z0-9]", "", text.lower().replace("ω", "w")) in _METHODS


def _text(value: Any) -> str:
    """Return a value as a string, so that 1, 1.0 and "1" are equal."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)
