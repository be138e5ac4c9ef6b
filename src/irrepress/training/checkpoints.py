"""Lightning checkpoints that are written atomically, and the search for one to resume from."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from irrepress.core.files import atomic_path
from irrepress.training.module import STATE_KEY, Row

logger = logging.getLogger(__name__)

# Checkpoints at the best validation, at the last validation, and between two validations.
BEST = "best"
LAST = "last"
RECENT = "recent"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write checkpoints to a temporary file in the target directory and rename it.

    Lightning writes to the system's temporary directory first; moving a file from there to another
    file system copies it, and a killed process leaves the copy unfinished.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "last.ckpt"
        >>> AtomicCheckpointIO().save_checkpoint({"global_step": 5}, path)
        >>> load_checkpoint(path)["global_step"]
        5
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint atomically."""
        with atomic_path(path) as temporary:
            torch.save(checkpoint, temporary)


class Found(NamedTuple):
    """A checkpoint to resume from.

    Attributes:
        step: number of optimizer steps taken.
        rows: one row per validation so far.
        path: path of the file.

    Example:
        >>> found = Found(step=400, rows=[], path=Path("work/last.ckpt"))
        >>> found.step, found.path.name
        (400, 'last.ckpt')
    """

    step: int
    rows: list[Row]
    path: Path


def find_checkpoint(directory: Path, fingerprint: str) -> Found | None:
    """Find the newest checkpoint that a run can be resumed from.

    The best checkpoint must be readable, since the result is taken from it; if a newer one is
    damaged, an older one is used.

    Args:
        directory: directory of the checkpoints.
        fingerprint: identifies the run; checkpoints of other runs are ignored.

    Returns:
        The checkpoint, or None if the run must start from the beginning.
    """
    found: dict[str, Found] = {}
    for name in (RECENT, BEST, LAST):
        path = checkpoint_path(directory, name)
        if not path.exists():
            continue
        try:
            checkpoint = load_checkpoint(path)
            state, step = checkpoint[STATE_KEY], checkpoint["global_step"]
            belongs, rows = state["fingerprint"] == fingerprint, state["rows"]
        # Damaged files raise exceptions of many types.
        except Exception as error:
            logger.warning("%s: ignoring a damaged checkpoint (%s)", path, error)
            continue
        if belongs:
            found[name] = Found(step, rows, path)
        else:
            logger.warning(
                "%s: ignoring a checkpoint of another dataset or of other settings", path
            )
    if BEST not in found:
        # Before the first validation during training, there is no best checkpoint.
        usable = {n: f for n, f in found.items() if n == RECENT and len(f.rows) <= 1}
        if found and not usable:
            logger.warning("%s: no best checkpoint; training starts from the beginning", directory)
        found = usable
    if not found:
        return None
    # Of two checkpoints at the same step, take the one written after validation.
    return max(found.values(), key=lambda each: (each.step, len(each.rows)))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU, without running code from it."""
    return torch.load(path, map_location="cpu", weights_only=True)


def checkpoint_path(directory: Path, name: str) -> Path:
    """Return the path of the checkpoint `BEST`, `LAST` or `RECENT`."""
    return directory / f"{name}.ckpt"
