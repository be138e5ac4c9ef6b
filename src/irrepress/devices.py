"""The device that a computation runs on."""

import torch

from irrepress.errors import UserError


def resolve_device(name: str) -> torch.device:
    """Return the device that a config value names.

    Args:
        name: ``auto`` (a CUDA GPU if there is one), ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        UserError: a CUDA device that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        found = torch.cuda.device_count()
        if (device.index or 0) >= found:
            raise UserError(
                f"device: {name!r} is not there ({found} CUDA devices found); set cpu or auto"
            )
    return device
