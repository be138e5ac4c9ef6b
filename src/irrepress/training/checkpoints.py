"""Lightning checkpoints that are whole or absent, and the search for one to resume from."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from irrepress.core.files import atomic_path
from irrepress.training.module import STATE_KEY, Row

logger = logging.getLogger(__name__)

# Checkpoints of the best validation, of the last validation, and between two validations.
BEST = "best"
LAST = "last"
RECENT = "recent"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write checkpoints to a temporary name beside the final one and rename them.

    Lightning's own way writes in the system's temporary directory first; moving from there to
    another file system is a copy, which a killed process leaves unfinished.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint atomically."""
        with atomic_path(path) as temporary:
            torch.save(checkpoint, temporary)


class Found(NamedTuple):
    """A checkpoint to go on from.

    Attributes:
        step: optimizer steps taken.
        rows: the validations so far.
        path: the file.
    """

    step: int
    rows: list[Row]
    path: Path


def find_checkpoint(directory: Path, fingerprint: str) -> Found | None:
    """Find the newest checkpoint of a run that can be resumed from.

    The best checkpoint must be there and whole, since the result is taken from it; if a newer
    one is damaged, the run goes on from the next.

    Args:
        directory: where the checkpoints lie.
        fingerprint: identifies the run; checkpoints of other runs are not used.

    Returns:
        None if the run must start from the beginning.
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
            logger.warning("%s: damaged checkpoint is not used (%s)", path, error)
            continue
        if belongs:
            found[name] = Found(step, rows, path)
        else:
            logger.warning("%s: checkpoint of another data set or of other settings", path)
    if BEST not in found:
        # Until the first validation of a trained model there is none to be the best.
        usable = {n: f for n, f in found.items() if n == RECENT and len(f.rows) <= 1}
        if found and not usable:
            logger.warning("%s: no best checkpoint; training starts from the beginning", directory)
        found = usable
    if not found:
        return None
    # Among checkpoints of the same step, the one after its validation.
    return max(found.values(), key=lambda each: (each.step, len(each.rows)))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU, without running code from it."""
    return torch.load(path, map_location="cpu", weights_only=True)


def checkpoint_path(directory: Path, name: str) -> Path:
    """Return the path of the checkpoint `BEST`, `LAST` or `RECENT`."""
    return directory / f"{name}.ckpt"
