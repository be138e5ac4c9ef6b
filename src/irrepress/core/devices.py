"""Choice of the device for computations."""

import ctypes
import sys

import torch

from irrepress.core.errors import UserError
from irrepress.core.section import check_device_name


def resolve_device(name: str) -> torch.device:
    """Return the device for a config value.

    Args:
        name: ``auto`` (a CUDA GPU if there is one), ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        UserError: if there is no such name, or the CUDA device does not exist.
    """
    check_device_name(name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cpu":
        keep_freed_memory()
    if device.type == "cuda":
        found = torch.cuda.device_count()
        if (device.index or 0) >= found:
            raise UserError(
                f"device: {name!r} does not exist ({found} CUDA devices found); set cpu or auto"
            )
    return device


# Parameters of glibc's mallopt, from its malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8


def keep_freed_memory() -> None:
    """Let the process keep memory that CPU tensors release.

    glibc returns large blocks to the kernel, which zeroes them page by page when the next tensor
    needs them: in training on CPUs this takes more time than the arithmetic. This function has no
    effect with other C libraries.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return
    mallopt(_MMAP_MAX, 0)  # all blocks from the heap, which is kept,
    mallopt(_TRIM_THRESHOLD, -1)  # never cut,
    mallopt(_TOP_PAD, 64 * 2**20)  # grown in large steps,
    mallopt(_ARENA_MAX, 1)  # and shared with the threads of the backward pass
