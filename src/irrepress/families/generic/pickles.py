"""Reading checkpoints, which are pickles, without running code from them."""

import pickle
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from irrepress.core.errors import UserError, first_line
from irrepress.families.generic.file_kinds import check_kind

# Package of the types that a family's files hold -> family.
_PACKAGES = {"mace.": "mace", "fairchem.": "escn"}


def read_restricted(
    path: Path, safe_types: Sequence[Any], kind: str, another: Callable[[Path, str], UserError]
) -> Any:
    """Return the content of a file that PyTorch wrote, built of known types alone.

    Args:
        path: the file.
        safe_types: types that may be built beside PyTorch's own.
        kind: what messages call the file, such as ``a SevenNet checkpoint``.
        another: makes the message of a file of another kind from the path and what it holds.

    Raises:
        UserError: not readable, truncated, of another kind, or a file with other types.
    """
    check_kind(path)
    try:
        with torch.serialization.safe_globals(list(safe_types)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"it holds a {found[1]}" if found else "it is no PyTorch file"
        for package, family in _PACKAGES.items():
            if found and found[1].startswith(package):
                reason += f", as files of another family do: set family: {family}"
        raise another(path, reason) from error
    # Damaged files make the unpickler fail in many ways: RuntimeError, EOFError, KeyError, ...
    except Exception as error:
        raise UserError(
            f"{path}: cannot be read as {kind} ({first_line(error)}); the file is damaged, "
            "truncated or of another kind: copy or download it again"
        ) from error
