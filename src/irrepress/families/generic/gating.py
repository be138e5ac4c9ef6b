"""What all families check of gates."""

from collections.abc import Mapping

from torch import Tensor

from irrepress.core.errors import UserError, nearest
from irrepress.core.groups import Group


def check_gates(gates: Mapping[str, Tensor], groups: Mapping[str, Group]) -> None:
    """Check that gates belong to the groups of a model.

    Args:
        gates: group name -> gates, ``[channels]`` or ``[structures, channels]``.
        groups: the model's groups by name.

    Raises:
        UserError: no such group, or gates of another shape.
    """
    for name, gate in gates.items():
        if name not in groups:
            raise UserError(f"gates: the model has no group {name!r}; {nearest(name, groups)}")
        if gate.shape[-1] != groups[name].channels or gate.ndim not in (1, 2):
            raise UserError(
                f"gates: {name!r} has shape {tuple(gate.shape)}, expected "
                f"[{groups[name].channels}] or [structures, {groups[name].channels}]"
            )
