"""vesin without torch, and without what it leaves in memory.

vesin imports torch wherever it finds it, so as to take tensors. irrepress gives it arrays only,
and processes that read files would each spend seconds and 150 MB on it.
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
        # Whoever else imports vesin in this process gets it whole.
        for _name in [n for n in sys.modules if n == "torch" or n.split(".")[0] == "vesin"]:
            del sys.modules[_name]

__all__ = ["NeighborList"]


class _Memory:
    """Memory that numpy can look at."""

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
    """Look at the memory that a pointer of ctypes points to.

    vesin asks ``numpy.ctypeslib`` for this. That makes two types for every number of pairs it
    meets, and ctypes keeps them for ever: 60 MB after 100,000 different structures.
    """
    address = ctypes.cast(pointer, ctypes.c_void_p).value
    assert address is not None, "vesin gives no empty lists"
    return np.asarray(_Memory(address, shape, np.dtype(dtype)))


_neighbors._ptr_to_numpy = _as_array
