"""Ending a training on a signal, in a state that it can be resumed from.

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


class Interruption(Callback):
    """Writes a checkpoint and ends training at the first step after a signal.

    Lightning's own handler (``SLURMEnvironment(auto_requeue=True)``) saves at once, wherever the
    signal finds the process: in the middle of an optimizer's step as well.

    Args:
        checkpoint: path of the checkpoint.
    """

    def __init__(self, checkpoint: Path):
        self._checkpoint = checkpoint
        self._received: signal.Signals | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the place of Lightning's handlers; Lightning restores the process's own."""
        if threading.current_thread() is threading.main_thread():
            for each in SIGNALS:
                signal.signal(each, self._receive)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Save a checkpoint and end, if any rank received a signal.

        Raises:
            UserError: a rank received a signal.
        """
        received = self._received is not None
        if not trainer.strategy.reduce_boolean_decision(received, all=False):
            return
        if trainer.is_last_batch:  # validation comes next, and a checkpoint after it
            return
        trainer.save_checkpoint(self._checkpoint)
        name = self._received.name if self._received else "a signal to another rank"
        raise UserError(
            f"training: told to stop ({name}) at step {trainer.global_step}, which was saved; the "
            "rule goes on from there when it runs again"
        )

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._received is not None:
            raise KeyboardInterrupt  # a second signal asks to end at once
        self._received = signal.Signals(number)
