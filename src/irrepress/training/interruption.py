"""Stopping training on a signal, with a checkpoint to resume from.

SLURM sends SIGTERM to the processes of a job before its time limit, when it is preempted and
when someone cancels it; other schedulers, and ``sbatch --signal``, send SIGUSR1. Ctrl-C is SIGINT.
"""

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from irrepress.core.errors import UserError

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Stopped(UserError):
    """A training that a signal ended, after it was saved.

    Attributes:
        received: the signal; None if another rank received it.

    Example:
        >>> Stopped("training: stopped by SIGTERM at step 40 and saved", signal.SIGTERM).received
        <Signals.SIGTERM: 15>
    """

    def __init__(self, message: str, received: signal.Signals | None):
        super().__init__(message)
        self.received = received


class Interruption(Callback):
    """Writes a checkpoint and stops training after the first step that follows a signal.

    Lightning's own handler (``SLURMEnvironment(auto_requeue=True)``) saves immediately, even in the
    middle of an optimizer step.

    Args:
        checkpoint: path of the checkpoint.

    Example:
        >>> callbacks = [Interruption(Path("recent.ckpt"))]
        >>> trainer = Trainer(accelerator="cpu", logger=False, callbacks=callbacks)
        >>> any(isinstance(callback, Interruption) for callback in trainer.callbacks)
        True
    """

    def __init__(self, checkpoint: Path):
        self._checkpoint = checkpoint
        self._received: signal.Signals | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Replace Lightning's signal handlers; Lightning restores the original ones later."""
        if threading.current_thread() is threading.main_thread():
            for each in SIGNALS:
                signal.signal(each, self._receive)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Save a checkpoint and stop if any rank has received a signal.

        Raises:
            Stopped: if a rank has received a signal.
        """
        received = self._received is not None
        if not trainer.strategy.reduce_boolean_decision(received, all=False):
            return
        if trainer.is_last_batch:  # validation follows and writes a checkpoint
            return
        trainer.save_checkpoint(self._checkpoint)
        name = self._received.name if self._received else "a signal to another rank"
        raise Stopped(
            f"training: stopped by {name} at step {trainer.global_step} and saved; run again to "
            "resume from there",
            self._received,
        )

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._received is not None:
            raise KeyboardInterrupt  # a second Ctrl-C stops immediately
        self._received = signal.Signals(number)
