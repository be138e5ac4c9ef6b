"""Which classes the configs of a checkpoint name.

fairchem builds whatever a config names by ``_target_``, ``model``, ``module`` or ``head_cls``, a
function such as ``os.system`` too. Models of irrepress are built without that; before fairchem
itself is given a file, its names are compared with those of a list.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from fairchem.core.modules import loss

from irrepress.core.errors import UserError
from irrepress.families.escn.architecture import MODEL
from irrepress.families.escn.canonical import HEADS, PLAIN, WITH_EXPERTS, WRAPPERS
from irrepress.families.escn.tasks import TARGETS

_LOSSES = {
    f"{loss.__name__}.{name}"
    for name, value in vars(loss).items()
    if isinstance(value, type) and issubclass(value, torch.nn.Module)
    if value.__module__ == loss.__name__
}
_PARTS = {
    *HEADS,
    *WRAPPERS,
    *(f"fairchem.core.models.uma.escn_md.{name}" for name in HEADS),
    *(f"fairchem.core.models.uma.escn_moe.{name}" for name in WRAPPERS),
}
# Key -> what it may name.
_ALLOWED = {
    "_target_": {MODEL, *TARGETS, *_LOSSES},
    "model": PLAIN | WITH_EXPERTS,
    "module": _PARTS,
    "head_cls": _PARTS,
}


def check_classes(source: object, model_config: Any, tasks: Any) -> None:
    """Check that the configs of a checkpoint name known classes alone.

    Args:
        source: what messages call the checkpoint.
        model_config: fairchem's config of the model, as plain data.
        tasks: its configs of tasks.

    Raises:
        UserError: they name another class or function, or another checkpoint to load.
    """
    for key, value in _named((model_config, tasks)):
        if key == "finetune_config" and value is not None:
            raise UserError(
                f"{source}: its config has fairchem load another checkpoint (finetune_config); "
                "get the model's own inference checkpoint"
            )
        if key in _ALLOWED and not (isinstance(value, str) and value in _ALLOWED[key]):
            raise UserError(
                f"{source}: its config names {value!r} as {key}, which fairchem would run and no "
                "eSCN-MD model needs; nothing of it was run. Do not load the file with other "
                "tools; get the model from its authors again"
            )


def _named(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every key and value, at any depth."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield key, item
            yield from _named(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _named(item)
