"""irrepress: smaller and faster SO(3)-equivariant atomistic foundation models.

    import irrepress

    model = irrepress.load("7net-l3i5")
    plan = model.plan("frames.extxyz", speedup=5)
    small = plan.apply().compensate("frames.extxyz").finetune("frames.extxyz")
    small.save("small.pt")

Importing it is cheap: torch is imported when the first name of `irrepress.api` is used, and the
packages of the families (SevenNet, ...) when a model of that family is loaded.

Some examples in docstrings use ``model``, a loaded SevenNet-0
(``irrepress.families.get_family("sevennet").load("7net-0")``), ``structures``, a list of four
labelled crystals of two silicon atoms, ``store``, a `irrepress.data.store.StructureStore` of these
(two to train on, one for validation and one for tests), and ``config``, the
`irrepress.study.config.Config` of a small study.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from irrepress.api import (
        Comparison,
        Frames,
        Potential,
        Proof,
        Pruning,
        UserError,
        load,
        merge,
        read,
    )

__version__ = "0.1.0"

__all__ = [
    "Comparison",
    "Frames",
    "Potential",
    "Proof",
    "Pruning",
    "UserError",
    "__version__",
    "load",
    "merge",
    "read",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("irrepress.api"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
