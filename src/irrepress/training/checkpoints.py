"""Lightning checkpoints that are whole or absent, and the search for one to resume from."""

import logging
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from irrepress.files import atomic_path
from irrepress.training.module import STATE_KEY, Row

logger = logging.getLogger(__name__)

BEST = "best"
LAST = "last"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write checkpoints to a temporary name beside the final one and rename them.

    Lightning's own way writes in the system's temporary directory first; moving from there to
    another file system is a copy, which a killed process leaves half done.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint atomically."""
        with atomic_path(path) as temporary:
            torch.save(checkpoint, temporary)


def find_checkpoint(directory: Path, fingerprint: str) -> tuple[Path, list[Row]] | None:
    """Find the newest checkpoint of a run that can be resumed from.

    The best checkpoint must be there and whole, since the result is taken from it; if the
    last one is damaged, the run goes on from the best one.

    Args:
        directory: where the checkpoints lie.
        fingerprint: identifies the run; checkpoints of other runs are not used.

    Returns:
        The path and the validations so far; None if the run must start anew.
    """
    found: dict[str, tuple[Path, list[Row]]] = {}
    for name in (BEST, LAST):
        path = checkpoint_path(directory, name)
        if not path.exists():
            continue
        try:
            state = load_checkpoint(path)[STATE_KEY]
            belongs, rows = state["fingerprint"] == fingerprint, state["rows"]
        # A damaged file fails in as many ways as there are bytes in it.
        except Exception as error:
            logger.warning("%s: damaged checkpoint is not used (%s)", path, error)
            continue
        if belongs:
            found[name] = (path, rows)
        else:
            logger.warning("%s: checkpoint of another data set or of other settings", path)
    if BEST not in found:
        if found:
            logger.warning("%s: no best checkpoint; training starts anew", directory)
        return None
    return max(found.values(), key=lambda item: item[1][-1]["step"])


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU, without running code from it."""
    return torch.load(path, map_location="cpu", weights_only=True)


def checkpoint_path(directory: Path, name: str) -> Path:
    """Return the path of the checkpoint `BEST` or `LAST`."""
    return directory / f"{name}.ckpt"
