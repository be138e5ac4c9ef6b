"""A single progress bar for the entire run."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class TrainingProgress(Callback):
    """A progress bar over all steps, with the losses; it continues where a resumed run does.

    Lightning's own bars restart in every epoch, and an epoch is here just the interval between two
    validations.

    Args:
        steps: number of steps in the entire run.
        console: the console to draw the bar on.

    Example:
        >>> callbacks = [TrainingProgress(steps=2000, console=Console())]
        >>> trainer = Trainer(accelerator="cpu", logger=False, callbacks=callbacks)
        >>> any(isinstance(callback, TrainingProgress) for callback in trainer.callbacks)
        True
    """

    def __init__(self, steps: int, console: Console):
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
            console=console,
        )
        self._task = self._progress.add_task("training", total=steps, losses="")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        self._progress.update(self._task, completed=trainer.global_step)
        self._progress.start()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Advance by a step."""
        losses = [
            f"{name.replace('_', ' ')} {float(value):.3g}"
            for name, value in trainer.progress_bar_metrics.items()
        ]
        self._progress.update(self._task, completed=trainer.global_step, losses=", ".join(losses))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the bar in its final state."""
        self._progress.stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Release the terminal before the error is printed."""
        self._progress.stop()
