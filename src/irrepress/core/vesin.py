"""vesin without torch.

vesin imports torch wherever it finds it, so as to take tensors. irrepress gives it arrays only,
and processes that read files would each spend seconds and 150 MB on it.
"""

import sys

if "torch" in sys.modules:
    from vesin import NeighborList
else:
    sys.modules["torch"] = None  # type: ignore[assignment]  # makes importing it fail
    try:
        from vesin import NeighborList
    finally:
        # Whoever else imports vesin in this process gets it whole.
        for _name in [n for n in sys.modules if n == "torch" or n.split(".")[0] == "vesin"]:
            del sys.modules[_name]

__all__ = ["NeighborList"]
