"""vesin without its import of torch and without its memory leak.

vesin imports torch if it is installed, to support tensors. irrepress only passes arrays, and the
import would cost every process that reads files seconds and 150 MB.
"""

import ctypes
import sys
from typing import Any

import numpy as np

if "torch" in sys.modules:
    from vesin import NeighborList, _neighbors
else:
    sys.modules["torch"] = None  # type: ignore[assignment]  # makes importing it fail
    try:
        from vesin import NeighborList, _neighbors
    finally:
        # Other imports of vesin in this process get the complete module.
        for _name in [n for n in sys.modules if n == "torch" or n.split(".")[0] == "vesin"]:
            del sys.modules[_name]

__all__ = ["NeighborList"]


class _Memory:
    """Memory exposed to numpy."""

    def __init__(self, address: int, shape: tuple[int, ...], dtype: np.dtype):
        self.__array_interface__ = {
            "data": (address, False),
            "shape": shape,
            "typestr": dtype.str,
            "version": 3,
        }


def _as_array(
    pointer: Any, shape: tuple[int, ...], dtype: Any, owner: object, device: object
) -> np.ndarray:
    """Return an array that views the memory of a ctypes pointer.

    vesin uses ``numpy.ctypeslib`` for this, which creates two types for every number of pairs;
    ctypes keeps these for ever: 60 MB after 100,000 different structures.
    """
    address = ctypes.cast(pointer, ctypes.c_void_p).value
    assert address is not None, "vesin gives no empty lists"
    return np.asarray(_Memory(address, shape, np.dtype(dtype)))


_neighbors._ptr_to_numpy = _as_array
