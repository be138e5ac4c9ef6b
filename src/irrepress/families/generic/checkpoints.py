"""Reading checkpoints, which are pickles, without running code from them; writing them."""

import io
import os
import pickle
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from irrepress.core.errors import UserError, explained, nearest
from irrepress.families.generic.file_kinds import check_kind

# Package of the types that a family's files hold -> family.
_PACKAGES = {"mace.": "mace", "fairchem.": "escn"}


def family_of_types(path: Path) -> str | None:
    """Return the family whose types a file of PyTorch holds; None if it holds none of a family.

    Nothing is unpickled, and the family's package need not be there.
    """
    try:
        types = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # of an old format, or no file of PyTorch: who reads it says what is wrong
        return None
    return next((family for each in types if (family := _family_of_type(each))), None)


def _family_of_type(name: str) -> str | None:
    found = (family for package, family in _PACKAGES.items() if name.startswith(package))
    return next(found, None)


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
    # Damaged files make the unpickler fail in many ways: RuntimeError, EOFError, KeyError, ...
    mend = "the file is damaged, truncated or of another kind: copy or download it again"
    with explained(f"{path}: cannot be read as {kind}", mend):
        try:
            with torch.serialization.safe_globals(list(safe_types)):
                return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            found = re.search(r"GLOBAL ([\w.]+)", str(error))
            reason = f"it holds a {found[1]}" if found else "it is no PyTorch file"
            if found and (family := _family_of_type(found[1])) is not None:
                reason += f", as files of another family do: set family: {family}"
            raise another(path, reason) from error


def check_modal(source: object, modals: Sequence[str], modal: str | None, kinds: str) -> None:
    """Check that a modal is named if, and only if, there is a choice.

    Args:
        source: what messages call the checkpoint.
        modals: what can be chosen; empty if the model has only one.
        modal: what was chosen.
        kinds: what the family calls its modals, such as ``heads``.

    Raises:
        UserError: the modal is missing, unknown or superfluous.
    """
    if modal is None and modals:
        raise UserError(
            f"{source}: this model has several {kinds} and needs a modal; choose one of "
            + ", ".join(modals)
        )
    if modal is not None and not modals:
        raise UserError(f"{source}: this model has no modals; remove modal {modal!r}")
    if modal is not None and modal not in modals:
        raise UserError(f"{source}: unknown modal {modal!r}; {nearest(modal, modals)}")


def cache_directory() -> Path:
    """Return where irrepress keeps checkpoints of its own for this user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "irrepress"


# --- writing: equal models give equal bytes --------------------------------------------------


def pickled(content: Any) -> bytes:
    """Return what PyTorch writes into a file: given a file, it would write the name into it."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def plain(value: Any) -> Any:
    """Return a config as plain Python data.

    Equal strings become one object: pickles differ where they are one here and two there.
    """
    if isinstance(value, Tensor | np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bool | int | float) or value is None:
        return value
    return sys.intern(str(value))


def float32_state(network: torch.nn.Module) -> dict[str, Tensor]:
    """Return a copy of a network's weights and buffers on the CPU, in float32."""
    return {
        sys.intern(name): tensor.detach().to(
            device="cpu", dtype=torch.float32 if tensor.is_floating_point() else None, copy=True
        )
        for name, tensor in network.state_dict().items()
    }
